"""Rights over personal data, and how long it is held."""
