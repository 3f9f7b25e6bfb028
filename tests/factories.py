"""People, reports and photos with fixed defaults; each is committed, so that the app sees it."""

import datetime as dt
import io
import itertools
import secrets
import uuid
from collections.abc import Sequence

from PIL import Image
from sqlalchemy import select, text
from sqlalchemy.orm import Session

import jobs.tasks
from api.current import EXTENSION
from jobs.context import Context
from models import (
    Audience,
    Citizen,
    DeviceSession,
    InboxMessage,
    Relation,
    Report,
    ReportState,
    Role,
    RoleGrant,
    Staff,
)
from services import feedback, identity, notifications, uploads
from services.feedback import Draft
from services.identity import DeviceFacts, PersonClaims, TokenPair
from services.identity.people import as_actor, meet, recognise_staff
from services.notifications import Registration
from services.permissions import LEVEL_2, Actor, ActorKind
from services.privacy import checks, guardians
from services.staff import invite
from services.tokens import hashed
from services.vault import Vault
from tests.canaries import belong, issue

DATA_KEYS = {1: "a-data-key-of-the-tests-of-32-or-more"}
INDEX_KEYS = {1: "an-index-key-of-the-tests-of-32-or-more"}
VAULT = Vault(data_keys=DATA_KEYS, index_keys=INDEX_KEYS)
CLIENTS = {"c-thainguyen-app": "app secret", "c-thainguyen-admin": "admin secret"}
NOON = dt.datetime(2026, 11, 23, 3, 0, tzinfo=dt.UTC)
# In the middle of the city of Thái Nguyên.
CITY = {"lat": 21.5942, "lng": 105.8482}
KEYS = {
    name: " ".join(f"{number}:{key}" for number, key in keys.items())
    for name, keys in (("DATA_KEYS", DATA_KEYS), ("INDEX_KEYS", INDEX_KEYS))
}
_count = itertools.count(1)


def claims(name: str = "Nguyễn Thị Thử", *, acr: str = LEVEL_2, number: int | None = None):
    """What the provider says of somebody new, or of the one with this number."""
    number = number or next(_count)
    return PersonClaims(
        issuer="http://provider.test",
        subject=f"person-{number}",
        name=name,
        acr=acr,
        auth_time=NOON,
        citizen_number=issue(f"0191{number:08}"),
        # None of the demo people, whom the simulator knows, has one of these.
        phone=issue(f"+8497{number:07}"),
        birth_date="1990-08-15",
    )


def claims_of(citizen: Citizen, **changes: object) -> PersonClaims:
    """What the provider says of somebody known."""
    told = {
        "issuer": citizen.issuer,
        "subject": citizen.subject,
        "name": citizen.name,
        "acr": LEVEL_2,
        "auth_time": NOON,
        "citizen_number": VAULT.read(citizen, "number"),
    }
    return PersonClaims(**told | changes)


def person_of(session: Session, staff: Staff) -> Citizen:
    """The citizen behind a member of staff."""
    return session.get_one(Citizen, staff.citizen_id)


def now() -> dt.datetime:
    """The moment at which access tokens of the tests are made, since they are checked by it."""
    return dt.datetime.now(dt.UTC)


def a_citizen(session: Session, name: str = "Nguyễn Thị Thử") -> Citizen:
    told = claims(name)
    citizen = meet(session, told, vault=VAULT, at=NOON)
    belong(citizen.id, told.citizen_number, told.phone)
    session.commit()
    return citizen


def citizen_actor(citizen: Citizen) -> Actor:
    return Actor(ActorKind.CITIZEN, citizen.id, acr=LEVEL_2)


def invited(
    session: Session,
    citizen_number: str,
    roles: Sequence[tuple[str, str | None]] = (("dispatcher", None),),
    name: str = "Cán bộ",
    vault: Vault = VAULT,
) -> Staff:
    """A member of staff who has not entered yet; also with roles that nobody is given today."""
    staff = invite(
        session, None, citizen_number=citizen_number, name=name, roles=(), vault=vault, at=NOON
    )
    staff.grants += [RoleGrant(role=Role(role), department_code=code) for role, code in roles]
    session.flush()
    return staff


def a_staff(
    session: Session,
    roles: tuple[tuple[str, str | None], ...] = (("dispatcher", None),),
    name: str = "Trần Văn Cán",
    places: Sequence[str] | None = None,
) -> Staff:
    """A member of staff who entered once, so that a citizen stands behind them.

    Their roles hold everywhere, or in `places` alone.
    """
    told = claims(name)
    invited(session, told.citizen_number, roles, name)
    citizen = meet(session, told, vault=VAULT, at=NOON)
    belong(citizen.id, told.citizen_number, told.phone)
    staff = recognise_staff(session, citizen, told, vault=VAULT)
    for grant in staff.grants:
        grant.place_codes = None if places is None else list(places)
    session.commit()
    # Taken while the roles are loaded; a later read of the row may let go of them.
    staff.actor = as_actor(staff)
    return staff


def staff_actor(staff: Staff) -> Actor:
    return staff.actor


def a_report(session: Session, reporter: Citizen, at: dt.datetime = NOON, **changes) -> Report:
    draft = {"category": "giao-thong", "description": "Ổ gà trước số nhà 12.", **CITY} | changes
    report = feedback.submit(session, citizen_actor(reporter), Draft(**draft), at=at)
    session.commit()
    return report


def citizen_on_a_device(
    session: Session, citizen: Citizen, installation_id: str | None = None
) -> Actor:
    """The citizen, signed in on a device; without tokens."""
    device = DeviceSession(
        citizen_id=citizen.id,
        audience=Audience.CITIZEN,
        acr=LEVEL_2,
        auth_time=NOON,
        installation_hash=hashed(installation_id or secrets.token_urlsafe(24)),
        platform="android",
        created_at=NOON,
        last_used_at=NOON,
        expires_at=NOON + dt.timedelta(days=180),
    )
    session.add(device)
    session.commit()
    return Actor(ActorKind.CITIZEN, citizen.id, session_id=device.id, acr=LEVEL_2)


def a_phone(session: Session, citizen: Citizen, value: str) -> None:
    """The citizen, signed in on a phone whose address at FCM is the token `value`."""
    notifications.register_device(
        session,
        citizen_on_a_device(session, citizen),
        secrets.token_urlsafe(24),
        Registration(platform="android", kind="token", value=value),
        at=NOON,
    )
    session.commit()


def signed_in(
    app,
    session: Session,
    person: Citizen | Staff,
    at: dt.datetime | None = None,
    installation_id: str | None = None,
    auth_time: dt.datetime = NOON,
) -> TokenPair:
    """The tokens of somebody who signed in: a citizen, or staff with a staff token."""
    staff = isinstance(person, Staff)
    citizen = person_of(session, person) if staff else person
    pair = identity.sign_in(
        session,
        claims_of(citizen, auth_time=auth_time),
        keys=app.extensions[EXTENSION].keys,
        vault=VAULT,
        audience=Audience.STAFF if staff else Audience.CITIZEN,
        device=DeviceFacts(installation_id or secrets.token_urlsafe(24), "android"),
        at=at or now(),
    )
    session.commit()
    belong(citizen.id, issue(pair.access_token), issue(pair.refresh_token))
    return pair


def bearer(
    app,
    session: Session,
    person: Citizen | Staff,
    at: dt.datetime | None = None,
    auth_time: dt.datetime = NOON,
):
    """The headers of somebody who signed in, at the provider at `auth_time`."""
    pair = signed_in(app, session, person, at, auth_time=auth_time)
    return {"Authorization": f"Bearer {pair.access_token}"}


def moved(session: Session, report: Report, *steps: tuple[Staff, dict]) -> Report:
    """The report after staff made these moves."""
    for staff, fields in steps:
        report = feedback.move(
            session,
            staff_actor(staff),
            report.id,
            feedback.Move(**fields),
            version=report.version,
            at=NOON,
        )
        session.commit()
    return report


def resolved(session: Session, report: Report) -> Report:
    """The report at the end of the usual way."""
    dispatcher = a_staff(session)
    handler = a_staff(session, (("handler", "so-xay-dung"),))
    to = ReportState
    return moved(
        session,
        report,
        (dispatcher, {"to": to.ASSIGNED, "department": "so-xay-dung"}),
        (handler, {"to": to.IN_PROGRESS}),
        (handler, {"to": to.RESOLVED, "text": "Đã vá mặt đường."}),
    )


def jpeg(width: int = 640, height: int = 480, **options) -> bytes:
    """A photo without metadata, unless `options` for Pillow say otherwise."""
    out = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).convert("RGB").save(out, "JPEG", **options)
    return out.getvalue()


def an_upload(
    session: Session, owner: Citizen | Staff, storage, content: bytes | None = None
) -> uuid.UUID:
    """A photo that was uploaded and cleaned."""
    actor = owner.actor if isinstance(owner, Staff) else citizen_actor(owner)
    received = uploads.receive(session, actor, content or jpeg(), storage=storage, at=NOON)
    uploads.finish(session, received.id, uploads.derive(received.id, storage=storage))
    uploads.discard_original(session, received.id, storage=storage)
    session.commit()
    return received.id


def a_child(
    session: Session, guardian: Citizen, *, checked_by: Staff | None = None, **changes
) -> uuid.UUID:
    """A child of five whom somebody named, confirmed where `checked_by` is told."""
    told = {
        "full_name": "Nguyễn Văn Bé",
        "citizen_number": f"0192{next(_count):08}",
        "birth_date": dt.date(2021, 5, 6),
        "relation": Relation.PARENT,
    } | changes
    belong(guardian.id, issue(told["citizen_number"]))
    named = guardians.claim(
        session, citizen_actor(guardian), guardians.Claim(**told), vault=VAULT, at=NOON
    )
    if checked_by is not None:
        actor = staff_actor(checked_by)
        checks.confirm(session, actor, named.id, version=1, vault=VAULT, at=NOON)
    session.commit()
    return named.id


def inbox_kinds(session: Session, citizen: Citizen) -> list[str]:
    """What a citizen was told, in order."""
    query = select(InboxMessage.kind).where(InboxMessage.citizen_id == citizen.id)
    return list(session.scalars(query.order_by(InboxMessage.id)))


def do_jobs(session: Session, context: Context, *tasks: str) -> int:
    """Do the queued jobs of these tasks, as a worker would; how many there were."""
    query = text(
        "SELECT id, task_name, args ->> 'subject_id' FROM procrastinate_jobs"
        " WHERE task_name = ANY (:names) AND status = 'todo' ORDER BY id"
    )
    found = session.execute(query, {"names": list(tasks)}).all()
    for job_id, name, subject_id in found:
        getattr(jobs.tasks, name)(context, uuid.UUID(subject_id))
        session.execute(text("DELETE FROM procrastinate_jobs WHERE id = :id"), {"id": job_id})
        session.commit()
    return len(found)


def staff_session(session: Session, staff: Staff) -> str:
    """The secret of a session of the staff view."""
    told = claims_of(person_of(session, staff))
    secret = identity.enter_admin(session, told, vault=VAULT, at=NOON)
    session.commit()
    return secret
