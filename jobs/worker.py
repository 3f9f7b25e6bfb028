"""A worker of one queue or several: `python -m jobs.worker QUEUE …`.

    ALIVE_FILE       touched every five seconds, for a health check that looks at its age (none)

procrastinate's own command ends when the database restarts; this loop comes back.
"""

import argparse
import asyncio
import contextlib
import datetime as dt
import functools
import logging.config
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import procrastinate
import structlog

import logs
from jobs.context import Context
from jobs.tasks import STALLED_AFTER_S, make_app
from models import Database
from notifications.console import ConsolePush
from notifications.push import Push
from services import durability
from services.audit import AuditKeys
from services.storage import open_storage
from services.vault import Vault
from settings import Settings, SettingsError

log = structlog.get_logger()

QUEUES = ("urgent", "normal", "bulk", "media", "upkeep")
# Photos are work for a processor, pushes wait for the network; what upkeep does every few seconds
# must not wait for what it does with a slow store of photos.
CONCURRENCY = {"urgent": 8, "normal": 8, "bulk": 4, "media": 2, "upkeep": 4}
HEARTBEAT_S = 5.0
GRACE_S = 10.0
SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 10.0


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m jobs.worker", description=__doc__)
    parser.add_argument("queues", nargs="+", choices=QUEUES)
    queues = parser.parse_args(arguments).queues
    try:
        settings = Settings.from_env()
        if not settings.allow_unsafe_database:
            durability.require(settings.database_url)
    except (SettingsError, durability.UnsafeDatabase) as error:
        sys.exit(str(error))
    logs.configure(settings.log_level)
    logging.config.dictConfig(logs.STANDARD)
    asyncio.run(live(settings, queues, os.environ.get("ALIVE_FILE")))


async def live(settings: Settings, queues: Sequence[str], alive_file: str | None) -> None:
    """Work, and show it to whoever looks at the file's age."""
    showing = asyncio.create_task(show_life(Path(alive_file))) if alive_file else None
    await serve(settings, queues)
    if showing:
        showing.cancel()


async def show_life(file: Path) -> None:
    """As long as tasks get their turn here; the database may be away meanwhile."""
    while True:
        await asyncio.to_thread(file.touch)
        await asyncio.sleep(HEARTBEAT_S)


async def serve(settings: Settings, queues: Sequence[str]) -> None:
    """Work until SIGTERM or SIGINT; come back after every fault, ever more patiently."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    concurrency = sum(CONCURRENCY[queue] for queue in queues)
    context = make_context(settings, concurrency)
    pause = SHORTEST_PAUSE_S
    while not stop.is_set():
        began = loop.time()
        try:
            await work(settings, context, queues, concurrency, stop)
        except Exception as error:  # noqa: BLE001 - whatever it was, the queue must go on
            log.warning("worker_interrupted", kind=type(error).__name__)
        if loop.time() - began > LONGEST_PAUSE_S:
            pause = SHORTEST_PAUSE_S
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), pause)
        pause = min(2 * pause, LONGEST_PAUSE_S)


async def work(
    settings: Settings,
    context: Context,
    queues: Sequence[str],
    concurrency: int,
    stop: asyncio.Event,
) -> None:
    """One life of a worker, until `stop` or a fault of the database."""
    connector = procrastinate.PsycopgConnector(
        conninfo=settings.database_url, min_size=2, max_size=concurrency + 3
    )
    app = make_app(context, connector)
    async with app.open_async():
        worker = asyncio.create_task(
            app.run_worker_async(
                queues=queues,
                name="-".join(queues),
                concurrency=concurrency,
                install_signal_handlers=False,
                update_heartbeat_interval=HEARTBEAT_S,
                stalled_worker_timeout=STALLED_AFTER_S,
                shutdown_graceful_timeout=GRACE_S,
            )
        )
        stopping = asyncio.create_task(stop.wait())
        log.info("worker_started", queue="-".join(queues))
        await asyncio.wait({worker, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        worker.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await worker


def make_context(settings: Settings, concurrency: int) -> Context:
    return Context(
        db=Database.at(
            settings.database_url, pool_size=concurrency, max_overflow=2, pool_timeout=10
        ),
        storage=open_storage(settings.storage_url),
        vault=Vault(data_keys=settings.data_keys, index_keys=settings.index_keys),
        push=functools.cache(functools.partial(make_push, settings)),
        now=lambda: dt.datetime.now(dt.UTC),
        audit_keys=AuditKeys.of(settings.audit_key_file),
    )


def make_push(settings: Settings) -> Push:
    if settings.firebase_credentials_file is None:
        return ConsolePush(sys.stdout)
    # Imported here alone, for what it weighs: the workers of photos and upkeep never need it.
    from notifications.fcm import FcmPush  # noqa: PLC0415

    return FcmPush(settings.firebase_credentials_file, settings.fcm_url)


if __name__ == "__main__":
    main()
