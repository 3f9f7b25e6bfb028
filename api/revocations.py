"""Access tokens are checked without the database; this is the small exception.

Every process keeps what ended while a token of it may still look valid, sessions and people, and
reads it anew every two seconds, so that signing out counts everywhere within three.
"""

import threading
import time

from sqlalchemy.exc import SQLAlchemyError

from api.clock import utc_now
from models import Database
from services import identity
from services.identity import Revoked
from services.tokens import AccessClaims

FRESH_S = 2.0


class Revocations:
    """What ended recently, at most two seconds old while the database answers."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._ended = Revoked()

    def refuse(self, claims: AccessClaims) -> bool:
        """Whether a token that says this must not be taken any more."""
        # One thread reads anew; the others go on with what is known and do not queue up.
        if time.monotonic() - self._read_at > FRESH_S and self._lock.acquire(blocking=False):
            try:
                self._read()
            finally:
                self._lock.release()
        ended = self._ended
        not_before = ended.people.get(claims.citizen_id)
        return claims.session_id in ended.sessions or (
            not_before is not None and claims.issued_at < not_before
        )

    def _read(self) -> None:
        try:
            with self._db.reading() as session:
                self._ended = identity.recently_revoked(session, at=utc_now())
        except SQLAlchemyError:
            # Without the database nothing personal can be read anyway; the request says so.
            return
        self._read_at = time.monotonic()
