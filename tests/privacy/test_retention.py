"""What has had its time goes, what has not stays, and nothing is kept shorter than it may be."""

import datetime as dt
import re
import secrets
import uuid
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event, func, select, text
from sqlalchemy.orm import Session

from api.app import create_app
from api.current import EXTENSION
from jobs import tasks
from models import (
    AdminSession,
    Audience,
    AuditEvent,
    Base,
    Delivery,
    Device,
    DeviceSession,
    Export,
    IdempotencyKey,
    InboxMessage,
    RateLimit,
    RefreshToken,
    Report,
    ReportEvent,
    ReportState,
    Staff,
    Upload,
    UploadState,
)
from models.base import new_id
from services import feedback, identity, permissions, uploads
from services.feedback import OPEN_STATES, ReporterHidden
from services.permissions import Action
from services.privacy import retention
from services.privacy.retention import Policy, Sweep, TooShort
from tests import factories
from tests.processes import ROOT

NOW = factories.NOON
DAY = dt.timedelta(days=1)
HOUR = dt.timedelta(hours=1)
REFRESH = "/api/v1/auth/refresh"


@pytest.fixture
def night(clock, context):
    """Have the nightly job done, so many days later."""

    def pass_by(days: float = 0) -> None:
        clock.forward(days=days)
        tasks.sweep(context, retention.POLICIES)

    return pass_by


# Generated ages and states: what the policies say, said once more without SQL.

# Any age of two years, and with preference those about which a policy decides.
hours = st.integers(0, 800 * 24) | st.builds(
    lambda days, more: days * 24 + more,
    st.sampled_from([1, 7, 67, 90, 100, 180, 187, 200, 270, 365, 400, 730]),
    st.integers(-1, 1),
)
maybe_hours = st.none() | hours
ages = st.fixed_dictionaries(
    {
        "messages": st.lists(st.tuples(hours, maybe_hours), min_size=2, max_size=6),
        "sessions": st.lists(
            st.tuples(hours, maybe_hours, st.lists(st.integers(0, 200 * 24), max_size=4)),
            min_size=2,
            max_size=5,
        ),
        "admin_sessions": st.lists(st.tuples(hours, maybe_hours), max_size=4),
        "uploads": st.lists(st.tuples(st.integers(0, 72), st.booleans()), max_size=4),
        "keys": st.lists(st.tuples(st.integers(0, 72), st.booleans()), max_size=4),
        "limits": st.lists(st.integers(-48, 48), max_size=4),
        "export": st.none() | st.tuples(st.integers(0, 400), st.none() | st.integers(0, 400)),
        "reports": st.lists(
            st.tuples(
                st.sampled_from(list(ReportState)),
                st.lists(hours, min_size=1, max_size=4),
                st.booleans(),
                st.booleans(),
            ),
            max_size=5,
        ),
    }
)


class World:
    """Rows of generated ages, and which of them are to be left; ages are in hours before NOW."""

    def __init__(self, session) -> None:
        self.session = session
        self.citizen = factories.a_citizen(session)
        staff = Staff(number_index=secrets.token_bytes(32), name="Cán bộ", created_at=NOW)
        session.add(staff)
        session.flush()
        self.staff = staff
        self.kept: set[object] = set()

    def note(self, row: object, *, is_kept: bool) -> None:
        self.session.add(row)
        self.session.flush()
        if is_kept:
            self.kept.add(row.id)

    def message(self, age: int, read: int | None) -> None:
        row = InboxMessage(
            citizen_id=self.citizen.id,
            kind="report_received",
            subject_type="report",
            subject_id=new_id(),
            facts={},
            created_at=NOW - age * HOUR,
            read_at=None if read is None else NOW - min(read, age) * HOUR,
        )
        self.note(row, is_kept=age * HOUR <= (730 if read is None else 365) * DAY)

    def device_session(self, age: int, revoked: int | None, tokens: list[int]) -> None:
        started = NOW - age * HOUR
        expires = started + 180 * DAY
        revoked_at = None if revoked is None else NOW - min(revoked, age) * HOUR
        end = min(expires, revoked_at or expires)
        row = DeviceSession(
            citizen_id=self.citizen.id,
            audience=Audience.CITIZEN,
            acr="x",
            auth_time=started,
            installation_hash=secrets.token_bytes(32),
            platform="android",
            created_at=started,
            last_used_at=started,
            expires_at=expires,
            revoked_at=revoked_at,
        )
        is_kept = end >= NOW - 90 * DAY
        self.note(row, is_kept=is_kept)
        device = Device(
            installation_hash=secrets.token_bytes(32),
            citizen_id=self.citizen.id,
            session_id=row.id,
            platform="android",
            kind="token",
            value=secrets.token_urlsafe(16),
            locale="vi",
            last_seen_at=started,
        )
        self.note(device, is_kept=end >= NOW - HOUR)
        before = None
        for number, used in enumerate(sorted(tokens)):
            # As they are issued and as the end of a session leaves them.
            token_end = min(started + used * HOUR + 60 * DAY, end)
            token = RefreshToken(
                session_id=row.id,
                token_hash=secrets.token_bytes(32),
                salt=secrets.token_bytes(16),
                predecessor_id=before,
                created_at=started + number * HOUR,
                expires_at=token_end,
            )
            self.note(token, is_kept=is_kept and token_end >= NOW - 7 * DAY)
            before = token.id

    def admin_session(self, age: int, ended: int | None) -> None:
        started = NOW - age * HOUR
        ended_at = None if ended is None else NOW - min(ended, age) * HOUR
        row = AdminSession(
            token_hash=secrets.token_bytes(32),
            staff_id=self.staff.id,
            created_at=started,
            last_seen_at=started,
            ended_at=ended_at,
        )
        end = min(started + dt.timedelta(minutes=30), ended_at or NOW)
        self.note(row, is_kept=end >= NOW - 90 * DAY)

    def upload(self, age: int, report: Report | None) -> None:
        row = Upload(
            owner_id=self.citizen.id,
            state=UploadState.READY,
            created_at=NOW - age * HOUR,
            position=0,
            shows_result=False,
            report_id=report.id if report else None,
        )
        self.note(row, is_kept=report is not None or age * HOUR <= DAY)

    def key(self, age: int, *, is_of_a_report: bool) -> None:
        row = IdempotencyKey(
            actor_id=self.citizen.id,
            operation="create_report" if is_of_a_report else "create_upload",
            key=str(uuid.uuid4()),
            body_mac=b"x" * 32,
            resource_id=new_id(),
            created_at=NOW - age * HOUR,
        )
        self.session.add(row)
        if is_of_a_report or age * HOUR <= DAY:
            self.kept.add(row.key)

    def limit(self, ahead: int) -> None:
        bucket = str(uuid.uuid4())
        self.session.add(RateLimit(bucket=bucket, window_ends_at=NOW + ahead * HOUR, used=1))
        if ahead >= 0:
            self.kept.add(bucket)

    def export(self, asked: int, ready: int | None) -> None:
        row = Export(citizen_id=self.citizen.id, asked_at=NOW - asked * HOUR)
        since = asked
        if ready is not None:
            since = min(asked, ready)
            row.ready_at, row.parts = NOW - since * HOUR, 1
        self.note(row, is_kept=since * HOUR <= 7 * DAY)

    def report(
        self, state: ReportState, moves: list[int], *, has_reporter: bool, was_rated: bool
    ) -> Report:
        """One whose moves were so long ago, the last into its present state."""
        moves = sorted(moves, reverse=True)
        row = Report(
            code=f"TN-{secrets.token_hex(6)}",
            reporter_id=self.citizen.id if has_reporter else None,
            hide_reporter=False,
            category_code="giao-thong",
            description="x",
            lat=21.5,
            lng=105.8,
            place_code="05443",
            place_uncertain=False,
            source="app",
            visibility="private",
            state=state,
            department_code="so-xay-dung",
            version=1,
            acknowledge_due_at=NOW,
            resolve_due_at=NOW,
            reopened_count=0,
            created_at=NOW - moves[0] * HOUR,
            updated_at=NOW,
        )
        self.session.add(row)
        self.session.flush()
        for move in moves:
            self.event(row, "assign", move, to_state=state.value)
        if was_rated:
            self.event(row, "rated", 0)
        is_over = state not in OPEN_STATES and moves[-1] * HOUR > 365 * DAY
        if not (is_over and has_reporter):
            self.kept.add(row.id)
        return row

    def event(self, report: Report, kind: str, age: int, **facts: str) -> None:
        self.session.add(
            ReportEvent(
                report_id=report.id,
                at=NOW - age * HOUR,
                kind=kind,
                actor_kind="staff",
                public=True,
                **facts,
            )
        )

    def build(self, drawn: dict) -> None:
        for message in drawn["messages"]:
            self.message(*message)
        for each in drawn["sessions"]:
            self.device_session(*each)
        for each in drawn["admin_sessions"]:
            self.admin_session(*each)
        reports = [
            self.report(state, moves, has_reporter=has_reporter, was_rated=was_rated)
            for state, moves, has_reporter, was_rated in drawn["reports"]
        ]
        for age, is_used in drawn["uploads"]:
            self.upload(age, reports[0] if is_used and reports else None)
        for age, is_of_a_report in drawn["keys"]:
            self.key(age, is_of_a_report=is_of_a_report)
        for ahead in drawn["limits"]:
            self.limit(ahead)
        if drawn["export"]:
            self.export(*drawn["export"])
        self.session.commit()


def left(session) -> set[object]:
    """What is there: the ids of rows, and of reports those that still show their reporter."""
    session.expire_all()
    found = set()
    for column in (
        InboxMessage.id,
        DeviceSession.id,
        Device.id,
        RefreshToken.id,
        AdminSession.id,
        Upload.id,
        Export.id,
        IdempotencyKey.key,
        RateLimit.bucket,
    ):
        found |= set(session.scalars(select(column)))
    return found | set(
        session.scalars(select(Report.id).where(Report.contact_removed_at.is_(None)))
    )


def everything(session) -> dict[str, set[str]]:
    return {
        table.name: set(session.scalars(text(f"SELECT t::text FROM {table.name} t")))  # noqa: S608 - our names
        for table in Base.metadata.sorted_tables
    }


@settings(derandomize=True, deadline=None, max_examples=60, database=None)
@given(drawn=ages)
def test_nothing_older_is_left_and_nothing_younger_or_open_is_touched(drawn, engine):
    with engine.connect() as connection, connection.begin() as example:
        session = Session(
            connection, expire_on_commit=False, join_transaction_mode="create_savepoint"
        )
        world = World(session)
        world.build(drawn)
        before = everything(session)
        found = [
            retention.look(session, sweep, at=NOW)
            for policy in retention.POLICIES
            for sweep in policy.sweeps
        ]
        assert everything(session) == before, "a look changed something"

        for _ in range(2):
            for policy in retention.POLICIES:
                for sweep in policy.sweeps:
                    while retention.carry_out(session, sweep, at=NOW) == retention.BATCH:
                        pass
            assert left(session) == world.kept
        after = everything(session)
        # What had contact data still has everything else.
        assert len(after["reports"]) == len(before["reports"])
        assert after["audit_events"] == before["audit_events"]
        assert sum(each.rows for each in found) >= sum(
            len(before[name]) - len(after[name]) for name in before
        )
        session.close()
        example.rollback()


def test_it_ends_things_in_batches(session, monkeypatch, night):
    monkeypatch.setattr(retention, "BATCH", 3)
    for _ in range(10):
        session.add(RateLimit(bucket=str(uuid.uuid4()), window_ends_at=NOW - HOUR, used=1))
    session.commit()

    night()

    assert session.scalar(select(func.count()).select_from(RateLimit)) == 0


def test_what_was_killed_between_two_batches_goes_on(session, database, monkeypatch):
    monkeypatch.setattr(retention, "BATCH", 3)
    (sweep,) = next(policy.sweeps for policy in retention.POLICIES if policy.name == "rate_limit")
    for _ in range(7):
        session.add(RateLimit(bucket=str(uuid.uuid4()), window_ends_at=NOW - HOUR, used=1))
    session.commit()

    with database.transaction() as own:
        assert retention.carry_out(own, sweep, at=NOW) == 3

    def die_before_the_commit() -> None:
        with database.transaction() as own:
            retention.carry_out(own, sweep, at=NOW)
            raise LookupError

    with pytest.raises(LookupError):
        die_before_the_commit()

    assert session.scalar(select(func.count()).select_from(RateLimit)) == 4


def test_what_somebody_holds_is_left_for_the_next_time(committed):
    (sweep,) = next(policy.sweeps for policy in retention.POLICIES if policy.name == "rate_limit")
    with committed.transaction() as session:
        session.add(RateLimit(bucket="held", window_ends_at=NOW - HOUR, used=1))
        session.add(RateLimit(bucket="free", window_ends_at=NOW - HOUR, used=1))

    with committed.sessions() as holder:
        holder.get_one(RateLimit, "held", with_for_update=True)
        with committed.transaction() as session:
            assert retention.carry_out(session, sweep, at=NOW) == 1

    with committed.sessions() as session:
        assert session.scalars(select(RateLimit.bucket)).all() == ["held"]


def test_a_policy_below_its_floor_is_refused():
    sweep = Sweep(model=AuditEvent, kept=300 * DAY, since=AuditEvent.at)

    with pytest.raises(TooShort, match="audit must be kept for 365 days at least"):
        Policy(name="audit", what="x", ends="x", source="x", floor=365 * DAY, sweeps=(sweep,))
    assert Policy(
        name="audit",
        what="x",
        ends="x",
        source="x",
        floor=365 * DAY,
        sweeps=(replace(sweep, kept=365 * DAY),),
    )


def test_the_record_of_who_did_what_has_no_end():
    (audit,) = (policy for policy in retention.POLICIES if policy.name == "audit")

    assert audit.sweeps == ()
    assert AuditEvent not in {sweep.model for each in retention.POLICIES for sweep in each.sweeps}


# The command.


@pytest.fixture
def run(app):
    return lambda *arguments: app.test_cli_runner().invoke(args=("retention", *arguments)).output


def test_a_dry_run_says_what_would_go_and_changes_nothing(session, run):
    world = World(session)
    world.message(400 * 24, 1)
    world.message(500 * 24, 1)
    world.message(300 * 24, 1)
    session.commit()
    before = everything(session)

    said = run("--dry-run")

    assert "message (365 days): 2 due, the oldest of 2025-07-11" in said.splitlines()
    assert "session (90 days): 0 due" in said.splitlines()
    assert everything(session) == before


def test_the_command_does_what_the_nightly_job_does(session, run):
    world = World(session)
    world.message(400 * 24, 1)
    world.message(300 * 24, 1)
    session.commit()

    said = run()

    assert "message (365 days): 1 done" in said.splitlines()
    assert left(session) == world.kept


def test_the_page_lists_every_policy_as_it_is():
    page = (ROOT / "docs" / "retention.md").read_text("utf-8")
    listed = re.findall(r"^\| `([a-z_]+)` \| (.+?) \| (.+?) \|", page, re.MULTILINE)

    assert listed == [(policy.name, policy.what, policy.ends) for policy in retention.POLICIES]


# What hangs on single policies.


def test_a_message_goes_with_what_became_of_its_pushes(session, citizen, night):
    factories.a_phone(session, citizen, "a-token-of-the-phone")
    factories.a_report(session, citizen)
    (message,) = session.scalars(select(InboxMessage))
    (device,) = session.scalars(select(Device))
    session.add(Delivery(message_id=message.id, device_id=device.id, attempts=1))
    message.read_at = NOW
    session.commit()

    night(366)

    assert session.scalar(select(func.count()).select_from(InboxMessage)) == 0
    assert session.scalar(select(func.count()).select_from(Delivery)) == 0


def test_files_of_what_went_go_after_it(session, citizen, night, storage, context):
    unused = factories.an_upload(session, citizen, storage)

    night(2)

    assert session.get(Upload, unused) is None
    assert storage.get(uploads.key(unused, "full"))
    factories.do_jobs(session, context, uploads.DISCARD_TASK)
    with pytest.raises(FileNotFoundError):
        storage.get(uploads.key(unused, "full"))


@pytest.fixture
def over(session, citizen):
    """A report that was resolved, and those who may see who sent it."""
    dispatcher = factories.a_staff(session)
    report = factories.resolved(session, factories.a_report(session, citizen))
    return report, factories.staff_actor(dispatcher)


def test_a_year_after_its_end_nobody_in_the_offices_sees_who_sent_a_report(
    session, over, night, clock
):
    report, dispatcher = over
    night(364)
    before = feedback.read_reporter(session, dispatcher, report.id, at=clock())
    session.commit()

    night(2)

    session.expire_all()
    row = session.get_one(Report, report.id)
    assert before.name == "Nguyễn Thị Thử"
    assert row.contact_removed_at == clock()
    assert not permissions.can(dispatcher, Action.SEE_REPORTER, row)
    with pytest.raises(ReporterHidden):
        feedback.read_reporter(session, dispatcher, report.id, at=clock())


def test_its_reporter_keeps_it_in_their_own_list(app, client, session, citizen, over, night):
    report, _ = over
    night(366)

    headers = factories.bearer(app, session, citizen)
    mine = client.get("/api/v1/reports", headers=headers).json["items"]

    assert [each["id"] for each in mine] == [str(report.id)]


def test_a_report_that_is_taken_up_again_later_stays_without_contact(session, over, night):
    report, dispatcher = over
    night(366)
    session.expire_all()
    row = session.get_one(Report, report.id)
    row.state = ReportState.RECEIVED
    session.commit()

    assert not permissions.can(dispatcher, Action.SEE_REPORTER, row)


# Old links of refresh tokens, which an alarm may hang on.


@pytest.fixture
def use(client):
    """Use a refresh token; the next one, or None."""

    def ask(token: str) -> str | None:
        answer = client.post(REFRESH, json={"refresh_token": token})
        return answer.json["refresh_token"] if answer.status_code == 200 else None

    return ask


def alarms(session) -> int:
    query = select(func.count()).where(AuditEvent.action == "session:alarm")
    return session.scalar(query)


@pytest.fixture
def first(app, session, citizen, clock) -> str:
    return factories.signed_in(app, session, citizen, at=clock()).refresh_token


def tokens(session) -> int:
    return session.scalar(select(func.count()).select_from(RefreshToken))


def test_a_token_that_was_stolen_and_is_used_weeks_later_raises_the_alarm(
    session, use, first, night
):
    token = first
    for _ in range(11):
        token = use(token)
        night(5)

    assert use(first) is None  # On day 55.
    assert alarms(session) == 1


def test_a_thief_who_came_first_is_found_when_the_owner_comes_weeks_later(
    session, use, first, night
):
    thiefs = use(first)
    for _ in range(11):
        night(5)
        thiefs = use(thiefs)
    night()

    assert use(first) is None  # The owner's, who opens the app on day 55.
    assert alarms(session) == 1
    assert use(thiefs) is None


def test_one_that_expired_is_refused_whether_its_row_is_there_or_not(session, use, first, night):
    token = first
    for _ in range(13):
        token = use(token)
        night(5)
    there = tokens(session)
    refused = use(first)  # On day 65: expired, but its row is there.
    for _ in range(2):
        token = use(token)
        night(5)

    assert (refused, use(first), alarms(session)) == (None, None, 0)
    assert tokens(session) < there + 2
    assert use(token) is not None


def test_a_chain_whose_beginning_went_goes_on(session, use, first, night):
    token = first
    for _ in range(30):
        token = use(token)
        night(5)

    kept = session.scalars(select(RefreshToken).order_by(RefreshToken.created_at)).all()
    assert len(kept) == 13
    assert kept[0].predecessor_id is None
    assert {row.predecessor_id for row in kept[1:]} == {row.id for row in kept[:-1]}
    assert use(token) is not None


def test_a_session_that_ended_loses_its_tokens_after_a_week_and_itself_after_ninety_days(
    session, use, first, night, clock
):
    use(use(first))
    (current,) = session.scalars(select(DeviceSession.id))
    identity.sign_out(session, current, at=clock())
    session.commit()

    night(6)
    assert tokens(session) == 3
    night(2)
    assert tokens(session) == 0
    night(81)
    assert session.scalar(select(func.count()).select_from(DeviceSession)) == 1
    assert use(first) is None
    night(2)
    assert session.scalar(select(func.count()).select_from(DeviceSession)) == 0
    assert use(first) is None
    assert alarms(session) == 0


def test_the_alarm_ends_every_token_of_its_session(session, use, first, clock):
    use(use(first))
    clock.forward(minutes=1)
    use(first)

    ends = set(session.scalars(select(RefreshToken.expires_at)))
    assert alarms(session) == 1
    assert ends == {clock()}


def test_a_refresh_whose_token_is_swept_meanwhile_is_refused(committed, settings, clock):
    app = create_app(settings, db=committed, now=clock)
    with committed.sessions() as session:
        pair = factories.signed_in(app, session, factories.a_citizen(session), at=clock())
        (row,) = session.scalars(select(RefreshToken))
    keys = app.extensions[EXTENSION].keys
    with committed.transaction() as own:
        seen = []

        def delete(state):
            if not seen and state.is_select and "device_sessions" in str(state.statement):
                seen.append(1)
                with committed.transaction() as other:
                    other.delete(other.get_one(RefreshToken, row.id))

        event.listen(own, "do_orm_execute", delete)
        assert identity.refresh(own, pair.refresh_token, keys=keys, at=clock()) is None
    assert seen
