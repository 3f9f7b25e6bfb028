"""Access tokens are checked without the database; this is the small exception.

Every process keeps the set of sessions that ended while a token of theirs may still look valid,
and reads it anew every two seconds, so that signing out counts everywhere within three.
"""

import threading
import time
import uuid

from sqlalchemy.exc import SQLAlchemyError

from api.clock import utc_now
from models import Database
from services import identity

FRESH_S = 2.0


class Revocations:
    """The recently ended sessions, at most two seconds old while the database answers."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._ended: frozenset[uuid.UUID] = frozenset()

    def __contains__(self, session_id: uuid.UUID) -> bool:
        # One thread reads anew; the others go on with what is known and do not queue up.
        if time.monotonic() - self._read_at > FRESH_S and self._lock.acquire(blocking=False):
            try:
                self._read()
            finally:
                self._lock.release()
        return session_id in self._ended

    def _read(self) -> None:
        try:
            with self._db.reading() as session:
                self._ended = identity.recently_revoked(session, at=utc_now())
        except SQLAlchemyError:
            # Without the database nothing personal can be read anyway; the request says so.
            return
        self._read_at = time.monotonic()
