"""Whether this process is of use: what /readyz tells a balancer and monitoring.

Only what this installation itself must mend counts. Firebase, the identity provider and the
insurance gateway may be away for hours, and everything else goes on.
"""

import datetime as dt
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from sqlalchemy.exc import ProgrammingError, SQLAlchemyError

from api.bounded import Bounded
from models import Database
from models.patience import Silent
from services import health, keyring
from services.health import Health
from services.storage import Storage
from services.vault import Vault

log = structlog.get_logger()

# Sooner than a request gives up: whoever asks how things are has a short patience too.
PATIENCE_S = 2.0
# Anybody may ask, so asking more often costs nothing.
KEPT_S = 1.0
# So long the workers may be restarting.
WORKERS_AWAY_S = 60.0


@dataclass(frozen=True, slots=True)
class Report:
    """`reasons` are codes, none of them when all is well; `health` is what could be found out."""

    reasons: tuple[str, ...]
    health: Health | None = None


class Readiness:
    """Asks the database at most once a second, and waits for it two seconds at most."""

    def __init__(
        self,
        db: Database,
        storage: Storage,
        vault: Vault,
        *,
        schema_head: str,
        allow_unsafe: bool,
        now: Callable[[], dt.datetime],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._db = db
        self._storage = storage
        self._vault = vault
        self._schema_head = schema_head
        self._allow_unsafe = allow_unsafe
        self._now = now
        self._monotonic = monotonic
        self._one_at_a_time = threading.Lock()
        self._facts = Bounded(self._asked, PATIENCE_S)
        self._kept: Report | None = None
        self._kept_since = 0.0
        self._workers_heard = monotonic()

    def report(self) -> Report:
        with self._one_at_a_time:
            if self._kept is None or self._monotonic() - self._kept_since >= KEPT_S:
                self._kept = self._made()
                self._kept_since = self._monotonic()
                if self._kept.reasons:
                    log.warning("not_ready", kind=" ".join(self._kept.reasons))
            return self._kept

    def _made(self) -> Report:
        reasons = ["disk_nearly_full"] if self._storage.is_nearly_full() else []
        facts = self._found()
        if isinstance(facts, str):
            return Report((*reasons, facts))
        found, keys = facts
        # One that is ahead is a migration before an upgrade, and made to be fit for us too.
        if found.revision < self._schema_head:
            reasons.append("schema_behind")
        if found.faults and not self._allow_unsafe:
            reasons.append("database_unsafe")
        if keys.wrong:
            reasons.append("key_wrong")
        if keys.missing:
            reasons.append("key_missing")
        if self._workers_are_silent(found):
            reasons.append("workers_silent")
        return Report(tuple(reasons), found)

    def _workers_are_silent(self, found: Health) -> bool:
        if found.silent_s is not None:
            heard = self._monotonic() - found.silent_s
            self._workers_heard = max(heard, self._workers_heard)
        return self._monotonic() - self._workers_heard > WORKERS_AWAY_S

    def _found(self) -> tuple[Health, keyring.Faults] | str:
        """What the database says, or what is wrong with it."""
        try:
            return self._facts()
        except ProgrammingError:  # A table is missing, or may not be read.
            return "schema_behind"
        except TimeoutError:
            return "database_silent"
        except SQLAlchemyError as error:
            silent = isinstance(getattr(error, "orig", None), Silent)
            return "database_silent" if silent else "database_unreachable"

    def _asked(self) -> tuple[Health, keyring.Faults]:
        with self._db.reading() as session:
            return (
                health.check(session, at=self._now()),
                keyring.faults(session, vault=self._vault),
            )
