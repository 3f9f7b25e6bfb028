"""Who may open which page of the staff view and send which form: tests/admin/pages.csv, literally.

Two answers with a stroke between them are for a thing of one's department and places, and for one
of neither. Of a form only what it cannot be without is sent, so that most are refused to everybody;
but whoever may not send it hears that it is not theirs or not there. A page or form that the table
lacks fails, and so does a row of no page.
"""

import csv
import re
from pathlib import Path

import pytest

from models import DataRequestKind, ReportState, Role
from services import feedback, permissions
from services.permissions import TAKE_NO_PLACES
from services.privacy import breaches, requests
from tests import factories
from tests.admin.conftest import enter

TABLE = Path(__file__).with_name("pages.csv")
HERE, ELSEWHERE = "so-xay-dung", "so-nong-nghiep-va-moi-truong"
# Đồng Hỷ, some twelve kilometres from the city.
FAR = {"lat": 21.66, "lng": 105.89}
ROLES = tuple(role.value for role in Role if role in permissions.IN_USE)
# The door, which has tests of its own (tests/admin/test_sign_in.py).
DOOR = ("static", "/login", "/callback", "/logout", "/signed-out")


# What forms hold by themselves, without which they are malformed.
SENT = {
    "POST /admin/breaches/<uuid:breach_id>/edit": {
        "detected_at": "2026-11-20T10:00",
        "notifiable": "yes",
    },
    "POST /admin/pauses/<uuid:pause_id>": {"step": "lift_pause"},
    "POST /admin/people": {"role": "dispatcher"},
    "POST /admin/people/<uuid:person_id>/roles": {"role": "dispatcher"},
    "POST /admin/people/<uuid:person_id>/disabled": {"step": "disable"},
    "POST /admin/reports/<uuid:report_id>/move": {"step": "return"},
    "POST /admin/reports/<uuid:report_id>/edit": {"step": "publish"},
}


def table():
    with TABLE.open(encoding="utf-8", newline="") as file:
        return {row.pop("page"): row for row in csv.DictReader(file)}


def pages(app):
    return {
        f"{method} {rule.rule}"
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/admin") and not any(part in rule.rule for part in DOOR)
        for method in rule.methods & {"GET", "POST"}
    }


@pytest.fixture
def things(session, clock):
    """What can be asked for: of a department and place, and of others."""
    dispatcher = factories.a_staff(session)

    def made(department, where):
        citizen = factories.a_citizen(session)
        report = factories.a_report(session, citizen, **where)
        report = factories.moved(
            session, report, (dispatcher, {"to": ReportState.ASSIGNED, "department": department})
        )
        pause = feedback.pause_reporter(
            session,
            factories.staff_actor(dispatcher),
            report.id,
            days=3,
            reason="Gửi nhiều lần.",
            at=clock.now,
        )
        wish = requests.Wish(DataRequestKind.VIEW)
        asked = requests.submit(
            session, factories.citizen_actor(citizen), wish, vault=factories.VAULT, at=clock.now
        )
        return {
            "report_id": report.id,
            "version": report.version,
            "place": report.place_code,
            "pause_id": pause.id,
            "child_id": factories.a_child(session, citizen),
            "request_id": asked.id,
            "person_id": factories.a_staff(session).id,
        }

    both = made(HERE, factories.CITY), made(ELSEWHERE, FAR)
    administrator = factories.a_staff(session, (("administrator", None),))
    facts = breaches.Facts(detected_at=clock.now, what="Gửi nhầm.")
    breach = breaches.record(session, factories.staff_actor(administrator), facts, at=clock.now)
    session.commit()
    return [thing | {"breach_id": breach.id} for thing in both]


def answered(desk, page, things):
    method, rule = page.split()
    path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule).format_map(things)
    if method == "GET":
        return desk.get(path).status_code
    version = things["version"] if "/reports/" in rule else 1
    form = {"csrf": desk.token(), "version": version, **SENT.get(page, {})}
    return desk.client.post(path, data=form).status_code


@pytest.mark.parametrize("role", ROLES)
def test_everybody_gets_what_the_table_says(app, session, clock, things, role):
    department = HERE if role in {"handler", "leader"} else None
    staff = factories.a_staff(session, ((role, department),))
    if Role(role) not in TAKE_NO_PLACES:
        session.refresh(staff, ["grants"])
        staff.grants[0].place_codes = [things[0]["place"]]
        session.commit()
    desk = enter(app, session, clock, staff)
    found = {}
    for page in sorted(pages(app)):
        codes = []
        for thing in things:
            before = session.begin_nested()
            session.connection()
            codes.append(str(answered(desk, page, thing)))
            before.rollback()
        found[page] = "/".join(codes if codes[0] != codes[1] else codes[:1])

    assert found == {page: row[role] for page, row in table().items()}


def test_the_table_has_every_role_in_use():
    for row in table().values():
        assert tuple(row) == ROLES
        assert all(row.values())
