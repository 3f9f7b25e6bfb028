"""A list and a single read follow one rule, whatever somebody's roles are."""

import datetime as dt
import itertools
import uuid

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from models import Report, ReportState, Role
from services import feedback, permissions
from services.feedback import QueueFilter
from services.permissions import Action, Actor, ActorKind, Grant
from tests import factories

DEPARTMENTS = ("so-xay-dung", "so-y-te", "dien-luc")
COMMUNES = ("05443", "05455", "05467")
GRANTS = st.builds(
    Grant,
    role=st.sampled_from(Role),
    department=st.sampled_from((*DEPARTMENTS, None)),
    places=st.none() | st.frozensets(st.sampled_from(COMMUNES)),
)


@pytest.fixture
def reports(session, citizen):
    """One report for each department or none, each commune, and whether the name is hidden."""
    made = []
    for department, place, hidden in itertools.product(
        (*DEPARTMENTS, None), COMMUNES, (True, False)
    ):
        # Nobody may send so many within the hour.
        at = factories.NOON + dt.timedelta(hours=len(made))
        report = factories.a_report(session, citizen, at, hide_reporter=hidden)
        report.department_code, report.place_code = department, place
        if department:
            report.state = ReportState.ASSIGNED
        report.contact_removed_at = at if len(made) % 3 == 0 else None
        made.append(report)
        session.commit()
    return made


@settings(
    max_examples=150,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(grants=st.lists(GRANTS, max_size=4), is_author=st.booleans())
def test_a_list_holds_what_may_be_read_one_by_one(session, citizen, reports, grants, is_author):
    author = citizen.id if is_author else None
    actor = Actor(
        ActorKind.STAFF,
        uuid.uuid4(),
        citizen_ids=frozenset({author} - {None}),
        grants=tuple(grants),
    )

    for action in (
        *(Action.READ, Action.WORK, Action.DISPATCH, Action.LEAD, Action.PUBLISH),
        *(Action.PAUSE_REPORTER, Action.END_PAUSE),
    ):
        listed = set(session.scalars(select(Report.id).where(permissions.workable(actor, action))))
        assert listed == {report.id for report in reports if permissions.can(actor, action, report)}

    readable = {report.id for report in reports if permissions.can(actor, Action.READ, report)}
    everything = QueueFilter()
    queue = feedback.queue(session, actor, everything, before=None, limit=100)
    assert {report.id for report in queue} == readable
    assert sum(feedback.queue_counts(session, actor).values()) == len(readable)
    assert feedback.newer_than(session, actor, everything, since=None) == len(readable)
    for report in reports:
        if permissions.can(actor, Action.SEE_REPORTER, report):
            assert report.id in readable
        if is_author:
            allowed = {action for action in Action if permissions.can(actor, action, report)}
            assert allowed <= {Action.READ}
            assert feedback.next_steps(actor, report) == []


def test_a_role_for_places_ends_at_their_border(app, client, session, reports):
    dispatcher = factories.a_staff(session, places=COMMUNES[:1])
    headers = factories.bearer(app, session, dispatcher)

    listed = client.get("/api/v1/staff/reports?limit=100", headers=headers).json["items"]

    inside = [report for report in reports if report.place_code == COMMUNES[0]]
    assert {item["id"] for item in listed} == {str(report.id) for report in inside}
    for report in reports:
        address = f"/api/v1/staff/reports/{report.id}"
        answers = (
            client.get(address, headers=headers),
            client.patch(
                address, json={"category": "cay-xanh"}, headers=headers | {"If-Match": '"1"'}
            ),
        )
        expected = 200 if report in inside else 404
        assert [answer.status_code for answer in answers] == [expected] * 2
