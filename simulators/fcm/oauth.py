"""The token endpoint: a signed assertion for an access token (RFC 7523 §2.1).

https://developers.google.com/identity/protocols/oauth2/service-account#httprest
"""

from dataclasses import dataclass

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
SCOPES = frozenset(
    {
        "https://www.googleapis.com/auth/cloud-platform",
        "https://www.googleapis.com/auth/firebase.messaging",
    }
)
# google-auth writes Google's own endpoint into `aud`, whatever the account's token URI says.
GOOGLE_TOKEN_URI = "https://oauth2.googleapis.com/token"
LONGEST_ASSERTION = 3600
CLOCK_SKEW = 60


class GrantRefused(Exception):
    """The assertion does not earn a token; carries OAuth's error code and a reason."""

    def __init__(self, error: str, reason: str) -> None:
        super().__init__(reason)
        self.error = error


@dataclass(frozen=True, slots=True)
class Account:
    """What Google knows of a service account."""

    public_key: RSAPublicKey
    client_email: str
    token_uri: str
    project_id: str


def check_grant(form: dict[str, str], account: Account) -> None:
    """Check a grant as Google does.

    Raises:
        GrantRefused: It is not a fresh assertion of this account for this endpoint.
    """
    if form.get("grant_type") != GRANT_TYPE:
        raise GrantRefused("unsupported_grant_type", "grant_type must be jwt-bearer")
    try:
        claims = jwt.decode(
            form.get("assertion", ""),
            account.public_key,
            algorithms=["RS256"],
            audience=[account.token_uri, GOOGLE_TOKEN_URI],
            issuer=account.client_email,
            leeway=CLOCK_SKEW,
            options={"require": ["iss", "aud", "exp", "iat"]},
        )
    except jwt.InvalidTokenError as error:
        raise GrantRefused("invalid_grant", f"Invalid JWT: {error}") from error
    if claims["exp"] - claims["iat"] > LONGEST_ASSERTION:
        raise GrantRefused("invalid_grant", "Invalid JWT: lives longer than an hour")
    if not SCOPES & set(str(claims.get("scope", "")).split()):
        raise GrantRefused("invalid_scope", "the scope does not cover messaging")
