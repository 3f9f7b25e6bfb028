"""Rights over personal data: consents, legal requests, guardians of children, breaches."""
