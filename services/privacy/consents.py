"""The consent ledger: who agreed to what, in which words, from when until when.

Law 91/2025/QH15, article 9, and Decree 356/2025/NĐ-CP: consent is given for each purpose by itself
and by a clear act, can be proved, and can be withdrawn at any time. Nobody has consented until a
row says so.
"""

import datetime as dt
import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models import Citizen, Consent
from services import audit, limits
from services.errors import Conflict, NotFound
from services.permissions import Actor, Grant
from services.privacy.purposes import Purpose, current, wording

CHANNEL = "app"
PER_HOUR = 60
# How much of what somebody decided before is shown for each purpose.
REMEMBERED = 20


class UnknownPurpose(NotFound):
    """There is no such purpose; see GET /me/consents."""

    vi = "Không có mục đích này; xem GET /me/consents."


class TextOutdated(Conflict):
    """The text of this purpose is now version {version}: show it, then ask again."""

    vi = "Nội dung của mục đích này nay là phiên bản {version}: hãy hiển thị rồi hỏi lại."


@dataclass(frozen=True, slots=True)
class Standing:
    """One purpose as its reader sees it, and what they decided; the newest decision comes first."""

    purpose: str
    version: int
    title: str
    text: str
    granted: bool
    since: dt.datetime | None
    channel: str | None
    history: Sequence[Consent]


def running(session: Session, citizen_id: uuid.UUID) -> Sequence[Consent]:
    """What somebody agreed to, in whatever version, and did not take back."""
    query = select(Consent).where(Consent.citizen_id == citizen_id, Consent.withdrawn_at.is_(None))
    return session.scalars(query.order_by(Consent.id)).all()


def withdraw(
    session: Session, row: Consent, *, actor: Actor, at: dt.datetime, by: Grant | None = None
) -> None:
    """Close one giving of consent; who calls this holds the lock of its person's row."""
    row.withdrawn_at = max(at, row.given_at)
    audit.record(
        session,
        audit.Deed.CONSENT_WITHDRAW,
        actor=actor,
        by=by,
        subject=("consent", row.id),
        at=at,
        consent=row.purpose,
    )


def standings(session: Session, actor: Actor, *, locale: str) -> list[Standing]:
    """Every purpose, with its text in `locale`."""
    place = (
        func.row_number()
        .over(partition_by=Consent.purpose, order_by=(Consent.given_at.desc(), Consent.id.desc()))
        .label("place")
    )
    newest = select(Consent.id, place).where(Consent.citizen_id == actor.id).subquery()
    query = (
        select(Consent)
        .join(newest, newest.c.id == Consent.id)
        .where(newest.c.place <= REMEMBERED)
        .order_by(newest.c.place)
    )
    decided: dict[str, list[Consent]] = defaultdict(list)
    for row in session.scalars(query):
        decided[row.purpose].append(row)
    return [_standing(purpose, decided[purpose.value], locale) for purpose in Purpose]


def decide(
    session: Session,
    actor: Actor,
    purpose_code: str,
    *,
    granted: bool,
    version: int,
    locale: str,
    at: dt.datetime,
) -> Standing:
    """Give or withdraw consent to one purpose; repeatable.

    `version` and `locale` name the text that was shown. A withdrawal counts whatever was shown:
    nothing may stand in its way.

    Raises:
        UnknownPurpose, TextOutdated, limits.RateLimited
    """
    if granted:
        hour = dt.timedelta(hours=1)
        limits.take(session, f"consent:{actor.id}", limit=PER_HOUR, window=hour, at=at)
    if purpose_code not in set(Purpose):
        raise UnknownPurpose
    purpose = Purpose(purpose_code)
    if granted and version != current(purpose):
        raise TextOutdated(version=current(purpose))
    # One decision at a time: a person's row is the lock of all that they decide.
    session.execute(
        select(Citizen.id).where(Citizen.id == actor.id).with_for_update(key_share=True)
    )
    open_row = session.scalar(
        select(Consent).where(
            Consent.citizen_id == actor.id,
            Consent.purpose == purpose.value,
            Consent.withdrawn_at.is_(None),
        )
    )
    if open_row and not (granted and open_row.version == version):
        withdraw(session, open_row, actor=actor, at=at)
        session.flush()  # Before the next row, since one purpose has one open row.
        open_row = None
    if granted and open_row is None:
        given = Consent(
            citizen_id=actor.id,
            purpose=purpose.value,
            version=version,
            locale=locale,
            channel=CHANNEL,
            given_at=at,
        )
        session.add(given)
        session.flush()
        audit.record(
            session,
            audit.Deed.CONSENT_GIVE,
            actor=actor,
            subject=("consent", given.id),
            at=at,
            consent=purpose.value,
            version=version,
        )
    return next(one for one in standings(session, actor, locale=locale) if one.purpose == purpose)


def _standing(purpose: Purpose, decided: Sequence[Consent], locale: str) -> Standing:
    words, version = wording(purpose, locale), current(purpose)
    valid = next(
        (row for row in decided if row.withdrawn_at is None and row.version == version), None
    )
    return Standing(
        purpose=purpose.value,
        version=version,
        title=words.title,
        text=words.text,
        granted=valid is not None,
        since=valid.given_at if valid else None,
        channel=valid.channel if valid else None,
        history=decided,
    )
