"""Rights over personal data."""

from api.routes.privacy import children, consents, requests

blueprints = (consents.blp, requests.blp, children.blp)
