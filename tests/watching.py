"""A client that looks in every answer for what is other people's."""

import re

import jwt
from flask.testing import FlaskClient

from api.current import EXTENSION
from tests import canaries

# Where staff see a number on request, which is recorded.
SHOWN_TO_STAFF = re.compile(r"/admin/(data-requests/[^/]+/person|guardians/[^/]+/look)")


class WatchingClient(FlaskClient):
    """Fails where an answer holds somebody's number, phone or token, and somebody else asked."""

    def open(self, *arguments, **named):
        answer = super().open(*arguments, **named)
        # The simulators' applications tell what they are told to.
        ours = EXTENSION in self.application.extensions
        if ours and not SHOWN_TO_STAFF.fullmatch(answer.request.path):
            # What is no text was drawn from pixels, and may be read in pieces by its test.
            readable = answer.is_json or (answer.mimetype or "").startswith("text/")
            body = answer.get_data(as_text=True) if readable else ""
            strange = canaries.of_others(f"{answer.headers}\n{body}", asker(answer.request))
            assert not strange, f"{answer.request.path} tells {sorted(strange)} to others"
        return answer


def asker(request) -> str | None:
    """The citizen whose access token came along, be it accepted or not; None without one."""
    try:
        token = request.headers["Authorization"].rpartition(" ")[2]
        return jwt.decode(token, options={"verify_signature": False}).get("sub")
    except (KeyError, jwt.InvalidTokenError):
        return None
