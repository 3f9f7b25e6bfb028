"""A web process: granian with this application, `python -m api.server`.

    LISTEN           unix:/run/web/a.sock behind nginx, or 127.0.0.1:8000
    WEB_PROCESSES    worker processes (1)
    WEB_THREADS      threads in each of them (2)

No request is lost when an instance is stopped while another one serves. A socket appears under
its name when the first answer has come through it. On SIGTERM its name is given to a socket that
nobody listens on, so that nginx is refused at once and asks the next instance, the request unsent;
connections that had come before are still accepted for a moment; then what runs is finished.
"""

import os
import socket
import sys
import threading
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from granian.constants import Interfaces
from granian.server import Server as Granian

import logs
from api import instruments
from api.alive import ANYWHERE, address, answers
from services import durability
from settings import Settings, SettingsError

# How long connections are still accepted after the name is gone: accepting takes milliseconds.
DRAIN_S = 0.5
# What still runs after so long is cut off; a statement of the database ends after 2.5 s,
# and after 4 s where the database is silent.
FINISH_S = 25
# Beyond some 200 waiting requests a proxy does better to refuse at once: the few threads would
# come to them too late.
BACKPRESSURE, BACKLOG = 32, 128
SOCKET_MODE = 0o660


class Server(Granian):  # type: ignore[misc]  # granian chooses its base class by the platform
    """granian that comes and goes without its clients noticing."""

    def __init__(self, path: Path | None = None, **options: Any) -> None:
        self.path = path
        # Bound under another name first, since granian binds long before it can answer.
        options["uds"] = path and path.with_name(f"{path.name}.{os.getpid()}")
        super().__init__(**options)

    def startup(self, *arguments: Any) -> None:
        super().startup(*arguments)
        if self.path:
            threading.Thread(target=self._appear, args=[self.path], daemon=True).start()

    def signal_handler_interrupt(self, *arguments: Any, **options: Any) -> None:
        stop = partial(super().signal_handler_interrupt, *arguments, **options)
        if self.path is None:
            stop()
        elif not self.interrupt_signal and not self.main_loop_interrupt.is_set():
            refuse(self.path)
            threading.Timer(DRAIN_S, stop).start()

    def _appear(self, path: Path) -> None:
        while not self.interrupt_signal:
            if answers(self.bind_uds):
                self.bind_uds.rename(path)
                # granian removes this name at its end; by then another may own it.
                self.bind_uds = path.with_name(f"{path.name}.gone")
                return
            time.sleep(0.05)


def refuse(path: Path) -> None:
    """Put a socket at `path` that refuses every connection; a missing one nginx would log."""
    dead = path.with_name(f"{path.name}.{os.getpid()}.dead")
    dead.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as nobody:
        nobody.bind(str(dead))
    # nginx may be another account of the same group: not allowed in, it would log the request.
    dead.chmod(SOCKET_MODE)
    dead.replace(path)


def options(env: Mapping[str, str]) -> dict[str, Any]:
    """How granian is to run.

    Raises:
        ValueError: LISTEN is malformed.
    """
    listen = address(env.get("LISTEN") or ANYWHERE)
    where: dict[str, Any]
    if isinstance(listen, Path):
        where = {"path": listen, "uds_permissions": SOCKET_MODE}
        where |= {"backpressure": BACKPRESSURE, "backlog": BACKLOG}
    else:
        # Without a proxy idle connections count as waiting ones, so there is no low limit.
        host, port = listen
        where = {"address": host, "port": port}
    return where | {
        "target": "wsgi:app",
        "interface": Interfaces.WSGI,
        "websockets": False,
        "workers": int(env.get("WEB_PROCESSES") or 1),
        "blocking_threads": int(env.get("WEB_THREADS") or 2),
        "workers_kill_timeout": FINISH_S,
        "log_dictconfig": logs.STANDARD,
    }


def main() -> None:
    try:
        chosen = options(os.environ)
        settings = Settings.from_env()
        if not settings.allow_unsafe_database:
            durability.require(settings.database_url)
    except (ValueError, SettingsError, durability.UnsafeDatabase) as error:
        sys.exit(str(error))
    if path := chosen.get("path"):
        refuse(path)
    with instruments.own_folder(os.environ):
        Server(**chosen).serve()


if __name__ == "__main__":
    main()
