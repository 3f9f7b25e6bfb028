"""Somebody of whom this system holds a row of every kind, and who handles what they ask."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest
from sqlalchemy import select

from api.current import EXTENSION
from jobs.context import Context
from models import Citizen, DataRequestKind, DeviceSession, InboxMessage, Report
from notifications.memory import MemoryPush
from notifications.push import Outcome
from services import feedback, idempotency, identity, notifications
from services.idempotency import Attempt
from services.notifications import Registration
from services.privacy import consents, requests
from tests import factories
from tests.canaries import issue


@pytest.fixture
def storage(app):
    return app.extensions[EXTENSION].storage


@pytest.fixture
def context(database, storage, clock):
    return Context(db=database, storage=storage, vault=factories.VAULT, push=MemoryPush, now=clock)


@dataclass
class Person:
    """A citizen, what identifies them, and what they have here."""

    citizen: Citizen
    headers: dict[str, str]
    canaries: dict[str, str] = field(default_factory=dict)
    report: Report | None = None
    attached: object = None
    unused: object = None


@pytest.fixture
def make_person(app, session, storage):
    """Make somebody with a row in every table that may hold rows of a citizen."""

    def make(mark: str, *, is_staff: bool = False) -> Person:
        if is_staff:
            staff = factories.a_staff(session, (("handler", "so-xay-dung"),), name=f"Tên {mark}")
            citizen = session.get_one(Citizen, staff.citizen_id)
            identity.enter_admin(
                session, factories.claims_of(citizen), vault=factories.VAULT, at=factories.NOON
            )
        else:
            citizen = factories.a_citizen(session, f"Tên {mark}")
        citizen.home_place_code = "05443"
        installation = issue(f"installation-{mark}-0123456789")
        pair = factories.signed_in(app, session, citizen, installation_id=installation)
        current = session.scalars(
            select(DeviceSession).where(DeviceSession.citizen_id == citizen.id)
        ).all()[-1]
        current.model, current.app_version = f"model-{mark}", "1.2.3"
        actor = factories.citizen_actor(citizen)
        address = f"push-address-{mark}"
        notifications.register_device(
            session,
            actor_with(actor, current.id),
            installation,
            Registration(platform="android", kind="token", value=address, app_version="1.2.3"),
            at=factories.NOON,
        )
        attached = factories.an_upload(session, citizen, storage)
        unused = factories.an_upload(session, citizen, storage)
        report = factories.a_report(session, citizen, upload_ids=[attached])
        key = f"idempotency-{mark}"
        attempt = Attempt(citizen.id, "create_report", key, b"m" * 32)
        idempotency.remember(session, attempt, report.id, at=factories.NOON)
        session.commit()
        report = factories.resolved(session, report)
        feedback.rate(session, actor, report.id, score=4, text="Tốt.", at=factories.NOON)
        message = session.scalars(
            select(InboxMessage).where(InboxMessage.citizen_id == citizen.id)
        ).first()
        due = notifications.undelivered(session, message.id, at=factories.NOON)
        sent = [(device, Outcome.DELIVERED_TO_FCM) for device, _ in due]
        notifications.record_outcomes(session, message.id, sent, at=factories.NOON)
        consents.decide(
            session,
            actor,
            "research",
            granted=True,
            version=1,
            locale="vi",
            at=factories.NOON,
        )
        factories.a_child(session, citizen)
        dispatcher = factories.staff_actor(factories.a_staff(session))
        pause = feedback.pause_reporter(
            session, dispatcher, report.id, days=9, reason="Tin giả.", at=factories.NOON
        )
        feedback.appeal(session, actor, pause.id, text="Tin thật.", at=factories.NOON)
        colleague = factories.staff_actor(factories.a_staff(session))
        feedback.lift_pause(session, colleague, pause.id, reason="Đúng.", at=factories.NOON)
        wish = requests.Wish(DataRequestKind.VIEW, text="Xin xem.")
        requests.submit(session, actor, wish, vault=factories.VAULT, at=factories.NOON)
        session.commit()
        return Person(
            citizen,
            {"Authorization": f"Bearer {pair.access_token}"},
            {
                "name": citizen.name,
                "subject": citizen.subject,
                "number": factories.VAULT.read(citizen, "number"),
                "phone": factories.VAULT.read(citizen, "phone"),
                "model": current.model,
                "address": address,
                "key": key,
                "installation": installation,
                "refresh": pair.refresh_token,
            },
            report,
            attached,
            unused,
        )

    return make


def actor_with(actor, session_id):
    return type(actor)(actor.kind, actor.id, session_id=session_id, acr=actor.acr)


@pytest.fixture
def person(make_person):
    return make_person("lan")


@pytest.fixture
def administrator(session):
    return factories.a_staff(session, (("administrator", None),), "Ma Văn Quản")


@pytest.fixture
def at_once():
    """`at_once(work, 6)`: have `work(0)` to `work(5)` begin at the same moment; all have ended."""

    def run(work, count):
        start = threading.Barrier(count)

        def begin(number):
            start.wait()
            work(number)

        with ThreadPoolExecutor(count) as threads:
            list(threads.map(begin, range(count)))

    return run
