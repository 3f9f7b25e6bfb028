"""What administrators do for rights over personal data."""

from admin.privacy import breaches, guardians, requests

blueprints = (requests.blp, guardians.blp, breaches.blp)
