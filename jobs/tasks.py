"""Every task, and the schedule of the periodic ones.

A task runs at least once: its process may be killed at any point, and then another runs it from
the start. So each of them asks first what is still to be done.
"""

import datetime as dt
import random
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import procrastinate
import structlog
from procrastinate import BaseRetryStrategy, JobContext, RetryDecision
from procrastinate.jobs import Job, Status
from sqlalchemy import RowMapping, Select

from jobs.context import Context
from notifications.push import Outcome
from services import audit, notifications, uploads
from services.privacy import erasure, export, guardians, retention
from services.privacy.retention import HOURLY, POLICIES, Policy

log = structlog.get_logger()
Thing = TypeVar("Thing")

STALLED_AFTER_S = 20
# So many first attempts wait less than the longest wait.
SHORT_WAITS = 10
# So often a job of a dead worker is taken over without waiting.
AT_ONCE = 3
KEPT_HOURS = 24
# A run takes in so many batches at most, some ten seconds of work; the next one goes on.
CHAIN_BATCHES = 50
# Checkpoints that are looked for in the file store, in case it was away for a day or two.
COPIED_AGAIN = 48
# A push that could not be handed over for so long is told by the inbox alone; a store of photos
# that is away for so long needs a person.
GIVEN_UP_AFTER = dt.timedelta(hours=48)
AGAIN = frozenset({Outcome.QUOTA, Outcome.UNAVAILABLE, Outcome.AUTH})
FIRST_WAIT_S = 10.0
LONGEST_WAIT_S = 900.0


class TryAgain(Exception):
    """Not everything was handed over; `after` is how long the other side asks us to wait."""

    def __init__(self, after: dt.timedelta | None) -> None:
        super().__init__("not handed over yet")
        self.after = after


class Backoff(BaseRetryStrategy):
    """Twice as long each time, with jitter, and never sooner than the other side asks for."""

    def __init__(self, given_up_after: dt.timedelta) -> None:
        # The first waits are short; after ten of them every one is the longest.
        self._most = SHORT_WAITS + given_up_after / dt.timedelta(seconds=LONGEST_WAIT_S)

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        if job.attempts > self._most:
            return None
        wait = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2**job.attempts)
        # A quarter more or less, so that a thousand jobs do not come back in one moment.
        wait *= random.uniform(0.75, 1.25)  # noqa: S311 - no secret hangs on it
        if isinstance(exception, TryAgain) and exception.after is not None:
            wait = max(wait, exception.after.total_seconds())
        at = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=wait)
        return RetryDecision(retry_at=at)


class WorkerDied(Exception):
    """The process that ran a job is gone."""


PATIENT = Backoff(GIVEN_UP_AFTER)


def push(context: Context, message_id: uuid.UUID) -> None:
    """Hand one message over to every device that has not got it yet.

    Raises:
        TryAgain: some are left; the next run sends those only.
    """
    with context.db.transaction() as session:
        due = notifications.undelivered(session, message_id, at=context.now())
    if not due:
        return
    # Outside of any transaction: a slow FCM must not hold a connection or a lock.
    results = context.push().send([message for _, message in due])
    with context.db.transaction() as session:
        notifications.record_outcomes(
            session,
            message_id,
            [(device, result.outcome) for (device, _), result in zip(due, results, strict=True)],
            at=context.now(),
        )
    for result in results:
        log.info("push", outcome=result.outcome.value, subject_id=str(message_id))
    left = [result for result in results if result.outcome in AGAIN]
    if left:
        waits = [result.retry_after for result in left if result.retry_after is not None]
        raise TryAgain(max(waits, default=None))


def derive_photo(context: Context, upload_id: uuid.UUID) -> None:
    """Draw the kept sizes of a photo and delete what came in."""
    derived = uploads.derive(upload_id, storage=context.storage)
    with context.db.transaction() as session:
        uploads.finish(session, upload_id, derived)
    with context.db.reading() as session:
        uploads.discard_original(session, upload_id, storage=context.storage)


def discard_files(context: Context, folder: uuid.UUID) -> None:
    """Delete the files of a row that is gone."""
    with context.db.reading() as session:
        uploads.delete_files(session, folder, storage=context.storage)


def build_export(context: Context, export_id: uuid.UUID) -> None:
    """Gather all that is held about somebody, and tell them that it is there."""
    with context.db.transaction() as session:
        begun = export.begin(session, export_id, vault=context.vault)
    if begun is None:
        return

    def ask(query: Select[*tuple[Any, ...]]) -> Sequence[RowMapping]:
        # A connection for each question, since the store is asked in between.
        with context.db.rows() as connection:
            return connection.execute(query).mappings().all()

    parts = export.build(
        ask,
        *begun,
        vault=context.vault,
        storage=context.storage,
        at=context.now(),
    )
    with context.db.transaction() as session:
        export.finish(session, export_id, parts, at=context.now())


def erase_due(context: Context) -> None:
    """Erase whoever asked for it a week ago, each in a transaction of their own."""
    with context.db.reading() as session:
        due = erasure.due(session, at=context.now())

    def erase(citizen_id: uuid.UUID) -> None:
        with context.db.transaction() as session:
            erasure.erase(session, citizen_id, at=context.now())

    for_each(due, erase, called=str)


def sweep(context: Context, policies: Iterable[Policy]) -> None:
    """Delete what has been kept for as long as these policies want it."""

    def carry_out(each: tuple[Policy, retention.Sweep]) -> None:
        policy, rows = each
        count = retention.BATCH
        while count == retention.BATCH:
            with context.db.transaction() as session:
                count = retention.carry_out(session, rows, at=context.now())
            if count:
                log.info("retention", kind=policy.name, count=count)

    due = [(policy, rows) for policy in policies for rows in policy.sweeps]
    for_each(due, carry_out, called=lambda each: each[0].name)


def date_relations(context: Context) -> None:
    """Store by when relations to children end that a former release left without it."""
    with context.db.reading() as session:
        undated = guardians.undated(session)

    def date(child_id: uuid.UUID) -> None:
        with context.db.transaction() as session:
            guardians.give_end(session, child_id, vault=context.vault)

    for_each(undated, date, called=str)


def for_each(
    items: Iterable[Thing], work: Callable[[Thing], None], *, called: Callable[[Thing], str]
) -> None:
    """Do `work` with each; one that fails does not keep the others from it, but fails the job.

    So a person sees it, and the next run tries again. The log has what each is `called`, which
    names nobody.
    """
    failure: Exception | None = None
    for item in items:
        try:
            work(item)
        except Exception as error:  # noqa: BLE001 - whatever it was, the others have their turn
            log.warning("task_failed", kind=type(error).__name__, subject_id=called(item))
            failure = error
    if failure is not None:
        raise failure


def sweep_files(context: Context) -> None:
    """Delete photos that the database knows nothing of; they hold the place they were taken at."""
    with context.db.reading() as session:
        uploads.sweep_files(session, storage=context.storage, at=context.now())


def chain_audit(context: Context) -> None:
    """Give every event of the audit log that is due its place in the chain."""
    for _ in range(CHAIN_BATCHES):
        with context.db.transaction() as session:
            if audit.extend(session) < audit.BATCH:
                return


def sign_audit(context: Context) -> None:
    """Sign the head of the chain, and see that the signed heads lie outside the database too."""
    if context.audit_keys is None or not context.audit_keys.can_sign:
        log.warning("audit_key_missing")
        return
    with context.db.transaction() as session:
        checkpoint = audit.sign_head(session, context.audit_keys, at=context.now())
    if checkpoint:
        # Whoever collects the log has a third copy by this line.
        log.info("audit_checkpoint", position=checkpoint.position, hash=checkpoint.hash.hex())
    with context.db.reading() as session:
        recent = audit.latest_checkpoints(session, COPIED_AGAIN)
    audit.copy_out(recent, context.storage)


def make_app(context: Context, connector: procrastinate.BaseConnector) -> procrastinate.App:
    """The queue's application with every task under the name that services defer it by."""
    app = procrastinate.App(connector=connector)
    task(app, notifications.PUSH_TASK, push, context, PATIENT)
    task(app, uploads.TASK, derive_photo, context, PATIENT)
    task(app, uploads.DISCARD_TASK, discard_files, context, PATIENT)
    task(app, export.TASK, build_export, context, PATIENT)

    @app.periodic(cron="* * * * * */10")  # Seconds come last: every ten of them.
    @app.task(name="rescue", queue="upkeep", queueing_lock="rescue", pass_context=True)
    async def rescue(job: JobContext, timestamp: int) -> None:
        """Take over the jobs of workers that were killed."""
        del timestamp
        await rescue_stalled(job.app)

    @app.periodic(cron="* * * * * */5")
    @app.task(name="chain_audit", queue="upkeep", queueing_lock="chain_audit")
    def chain_audit_always(timestamp: int) -> None:
        del timestamp
        chain_audit(context)

    @app.periodic(cron="5 * * * *")
    @app.task(name="sign_audit", queue="upkeep", queueing_lock="sign_audit", retry=PATIENT)
    def sign_audit_hourly(timestamp: int) -> None:
        del timestamp
        sign_audit(context)

    @app.periodic(cron="17 * * * *")
    @app.task(name="tidy_up", queue="upkeep", queueing_lock="tidy_up")
    def tidy_up_hourly(timestamp: int) -> None:
        del timestamp
        sweep(context, HOURLY)

    @app.periodic(cron="11 19 * * *")  # In the night of Viet Nam, as what follows.
    @app.task(name="retention", queue="upkeep", queueing_lock="retention")
    def retention_nightly(timestamp: int) -> None:
        del timestamp
        sweep(context, POLICIES)

    @app.periodic(cron="3 19 * * *")  # Before retention, which goes by it.
    @app.task(name="date_relations", queue="upkeep", queueing_lock="date_relations")
    def date_relations_nightly(timestamp: int) -> None:
        del timestamp
        date_relations(context)

    @app.periodic(cron="*/5 * * * *")
    @app.task(name="erase_due", queue="upkeep", queueing_lock="erase_due")
    def erase_due_often(timestamp: int) -> None:
        del timestamp
        erase_due(context)

    @app.periodic(cron="29 19 * * *")  # It lists every folder.
    @app.task(name="sweep_files", queue="upkeep", queueing_lock="sweep_files")
    def sweep_files_nightly(timestamp: int) -> None:
        del timestamp
        sweep_files(context)

    @app.periodic(cron="43 * * * *")
    @app.task(name="purge_jobs", queue="upkeep", queueing_lock="purge_jobs", pass_context=True)
    async def purge_jobs(job: JobContext, timestamp: int) -> None:
        """Forget jobs that succeeded a day ago; failed ones stay for a person to see."""
        del timestamp
        await job.app.job_manager.delete_old_jobs(nb_hours=KEPT_HOURS)

    return app


def task(
    app: procrastinate.App,
    name: str,
    work: Callable[[Context, uuid.UUID], None],
    context: Context,
    retry: BaseRetryStrategy,
) -> None:
    """Register `work` under `name`; its log lines carry the id of the request behind it."""

    @app.task(name=name, retry=retry)
    def run(subject_id: str, request_id: str | None = None) -> None:
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id, task=name)
        try:
            work(context, uuid.UUID(subject_id))
        except Exception as error:
            # The kind alone, since a message may quote a row; the queue tries again.
            log.warning("task_failed", kind=type(error).__name__, subject_id=subject_id)
            raise


async def rescue_stalled(app: procrastinate.App) -> None:
    """Queue again what a dead worker held.

    At once at first, then ever later, as after a failure: a job that kills its worker each time
    must not keep all of them busy dying. At the end it is put aside as failed.
    """
    manager = app.job_manager
    for job in await manager.get_stalled_jobs(seconds_since_heartbeat=STALLED_AFTER_S):
        log.warning("job_rescued", task=job.task_name, queue=job.queue, attempt=job.attempts)
        decision = PATIENT.get_retry_decision(exception=WorkerDied(), job=job)
        if decision is None:
            await manager.finish_job(job, status=Status.FAILED, delete_job=False)
        elif job.attempts < AT_ONCE:
            await manager.retry_job(job)
        else:
            await manager.retry_job(job, retry_at=decision.retry_at)
