"""Short texts that we hand out and get back: readable by anybody, changeable by nobody."""

import base64
import binascii
import hmac

from api.current import current

_MAC_LENGTH = 16


def sign(purpose: str, content: bytes) -> str:
    """`content` with a MAC of its purpose, in base64url without padding."""
    signed = current.keys.mac(purpose, content)[:_MAC_LENGTH] + content
    return base64.urlsafe_b64encode(signed).rstrip(b"=").decode()


def unsign(purpose: str, signed: str) -> bytes | None:
    """The content of what `sign` made for the same purpose; None for anything else."""
    try:
        padded = signed + "=" * (-len(signed) % 4)
        raw = base64.b64decode(padded, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    mac, content = raw[:_MAC_LENGTH], raw[_MAC_LENGTH:]
    ours = current.keys.mac(purpose, content)[:_MAC_LENGTH]
    return content if hmac.compare_digest(mac, ours) else None
