"""How long the database is waited for on this side, whatever it does on its own.

The server's timeouts are kept by the server: one that is stopped or whose machine is gone keeps
none, and the kernel goes on for it, so that a connection looks alive. psycopg does all its waiting
in `Connection.wait`, so that is where every exchange (statement, COMMIT, ROLLBACK, ping) gets an
end.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg.abc import RV, PQGen
from sqlalchemy import Dialect

# Longer than the server's own limit of 2.5 s, which tells more and leaves a usable connection.
EXCHANGE_S = 4.0
# An empty statement waits for nothing, and after it a new connection is still to be tried.
PING_S = 1.0
# So long after a wait in vain nobody waits again.
PAUSE_S = 1.0
# psycopg looks at the time this often, and at signals.
INTERVAL_S = 0.1


class Silent(psycopg.OperationalError):
    """The database did not answer in time, or did not a moment ago."""


class Connection(psycopg.Connection[Any]):
    """One whose exchanges end; it is closed by an end that came from this side."""

    limit_s = EXCHANGE_S
    patience: "Patience | None" = None

    def wait(
        self, gen: PQGen[RV], interval: float = INTERVAL_S, timeout: float | None = None
    ) -> RV:
        if timeout is not None:  # Whoever waits for notices wants to hear that there were none.
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, self.limit_s)
        except psycopg.errors._WaitTimeout:  # noqa: SLF001 - documented, though not exported
            # Nothing can follow half an exchange. Closing waits for nobody.
            self.close()
            # A ping is so hasty that its failure proves little; connecting anew will tell.
            if self.patience and self.limit_s >= EXCHANGE_S:
                self.patience.note_silence()
            raise Silent("The database did not answer in time") from None


class Patience:
    """What the engines for one database know of its silence: one wait in vain serves for all.

    Otherwise a request would wait once for each of its connections, and the few threads would do
    nothing else. After a silence one thread at a time tries anew; the others are refused at once.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._trying = threading.Lock()
        self._silent_at: float | None = None

    @property
    def lost(self) -> bool:
        """Whether it was silent, and nobody has reached it since."""
        return self._silent_at is not None

    def note_silence(self) -> None:
        self._silent_at = self._monotonic()

    def connect(
        self, _dialect: Dialect, _record: Any, arguments: list[Any], options: dict[str, Any]
    ) -> Connection:
        """A new connection; SQLAlchemy calls it instead of psycopg's own function.

        Raises:
            Silent: at once while it is silent, or after connect_timeout.
            psycopg.OperationalError: the server is not there, or refuses.
        """
        since = self._silent_at
        if since is None:
            return self._connect(arguments, options)
        if self._monotonic() - since < PAUSE_S or not self._trying.acquire(blocking=False):
            raise Silent("The database did not answer a moment ago")
        try:
            return self._connect(arguments, options)
        finally:
            self._trying.release()

    def _connect(self, arguments: list[Any], options: dict[str, Any]) -> Connection:
        try:
            connection = Connection.connect(*arguments, **options)
        except psycopg.errors.ConnectionTimeout as error:
            self.note_silence()
            raise Silent("The database did not take the connection in time") from error
        connection.patience = self
        self._silent_at = None
        return connection


def ping(dialect: Dialect, connection: Any) -> None:
    """Raises psycopg's errors when the connection is dead or says nothing."""
    connection.limit_s = PING_S
    try:
        dialect.do_ping(connection)
    finally:
        connection.limit_s = EXCHANGE_S
