"""When jobs are tried again, and when they are put aside."""

import asyncio
import datetime as dt
import io
import uuid

import procrastinate
import pytest
from procrastinate.jobs import Job
from sqlalchemy import text

from api.current import EXTENSION
from jobs import tasks
from jobs.context import Context
from jobs.worker import QUEUES
from models import Upload, UploadState
from models.base import new_id
from notifications.memory import MemoryPush
from notifications.templates import KINDS
from services import jobs as queue
from services import uploads
from services.notifications import PUSH_TASK
from services.permissions import Actor, ActorKind
from services.privacy.retention import HOURLY
from tests import factories


def a_job(attempts: int) -> Job:
    return Job(
        id=1,
        queue="normal",
        lock=None,
        queueing_lock=None,
        task_name=PUSH_TASK,
        attempts=attempts,
    )


def wait_s(exception: BaseException, attempts: int) -> float | None:
    strategy = tasks.Backoff(dt.timedelta(hours=48))
    decision = strategy.get_retry_decision(exception=exception, job=a_job(attempts))
    if decision is None:
        return None
    return (decision.retry_at - dt.datetime.now(dt.UTC)).total_seconds()


def test_waits_grow_to_a_quarter_of_an_hour_and_no_longer():
    waits = [wait_s(ValueError(), attempts) for attempts in (0, 1, 2, 8, 50)]

    assert 7 < waits[0] < 13 < waits[1] < 26 < waits[2] < 51
    assert all(670 < wait < 1130 for wait in waits[3:])


def test_what_the_other_side_asks_for_is_waited():
    assert wait_s(tasks.TryAgain(dt.timedelta(hours=1)), 0) > 3590


def test_after_two_days_a_push_is_given_up():
    assert wait_s(ValueError(), 150) is not None
    assert wait_s(ValueError(), 203) is None


@pytest.fixture
def context(app, database, clock):
    storage = app.extensions[EXTENSION].storage
    return Context(db=database, storage=storage, vault=factories.VAULT, push=MemoryPush, now=clock)


def test_the_photo_job_cleans_and_deletes_what_came_in(session, context):
    owner = factories.a_citizen(session)
    upload = uploads.receive(
        session,
        Actor(ActorKind.CITIZEN, owner.id),
        factories.jpeg(),
        storage=context.storage,
        at=factories.NOON,
    )
    session.commit()

    tasks.derive_photo(context, upload.id)

    session.expire_all()
    assert session.get_one(Upload, upload.id).state is UploadState.READY
    with pytest.raises(FileNotFoundError):
        context.storage.get(uploads.key(upload.id, "original"))


def test_tidying_up_leaves_what_is_needed(client, app, session, context, clock):
    headers = factories.bearer(app, session, factories.a_citizen(session))
    files = {"file": (io.BytesIO(factories.jpeg()), "x")}
    upload_id = uuid.UUID(client.post("/api/v1/uploads", data=files, headers=headers).json["id"])
    original = uploads.key(upload_id, "original")

    tasks.sweep(context, HOURLY)
    kept = session.get(Upload, upload_id)
    clock.forward(hours=25)
    tasks.sweep(context, HOURLY)
    session.expire_all()

    assert kept is not None
    assert session.get(Upload, upload_id) is None
    assert session.scalar(text("SELECT count(*) FROM rate_limits")) == 0
    # The file goes by a job of its own, after the row.
    assert context.storage.get(original)
    factories.do_jobs(session, context, uploads.DISCARD_TASK)
    with pytest.raises(FileNotFoundError):
        context.storage.get(original)


def test_files_of_a_row_that_is_there_are_not_deleted(session, context):
    owner = factories.a_citizen(session)
    upload_id = factories.an_upload(session, owner, context.storage)

    tasks.discard_files(context, upload_id)

    assert context.storage.get(uploads.key(upload_id, "full"))


def test_what_is_drawn_of_a_photo_that_went_meanwhile_goes_too(session, context):
    owner = factories.a_citizen(session)
    upload = uploads.receive(
        session,
        factories.citizen_actor(owner),
        factories.jpeg(),
        storage=context.storage,
        at=factories.NOON,
    )
    session.delete(upload)
    session.commit()

    tasks.derive_photo(context, upload.id)

    for size in ("original", "full", "thumb"):
        with pytest.raises(FileNotFoundError):
            context.storage.get(uploads.key(upload.id, size))


@pytest.mark.parametrize(
    ("attempts", "status", "waits"),
    [(2, "todo", False), (3, "todo", True), (50, "todo", True), (250, "failed", False)],
)
def test_a_job_of_a_dead_worker_is_taken_over_ever_later_and_not_for_ever(
    committed, attempts, status, waits
):
    with committed.transaction() as session:
        queue.defer(session, PUSH_TASK, queue="normal", subject_id=new_id())
        session.execute(
            text("UPDATE procrastinate_jobs SET status = 'doing', attempts = :attempts"),
            {"attempts": attempts},
        )
    url = committed.sessions.kw["bind"].url.render_as_string(hide_password=False)

    async def rescue():
        connector = procrastinate.PsycopgConnector(conninfo=url.replace("+psycopg", ""))
        async with procrastinate.App(connector=connector).open_async() as app:
            await tasks.rescue_stalled(app)

    asyncio.run(rescue())

    with committed.sessions() as session:
        query = text("SELECT status::text, scheduled_at > now() FROM procrastinate_jobs")
        found, later = session.execute(query).one()
        assert (found, bool(later)) == (status, waits)


def test_a_job_is_gone_with_the_transaction_that_asked_for_it(committed):
    with committed.sessions() as session, session.begin() as transaction:
        queue.defer(session, PUSH_TASK, queue="normal", subject_id=new_id())
        transaction.rollback()

    with committed.sessions() as session:
        assert session.scalar(text("SELECT count(*) FROM procrastinate_jobs")) == 0


def test_every_queue_that_services_use_has_a_worker():
    used = {kind.lane for kind in KINDS.values()} | {"media", "upkeep"}

    assert used <= set(QUEUES)
