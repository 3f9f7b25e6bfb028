"""What the system itself does for a legal request, in the transaction in which it is finished.

An administrator chooses among what is offered, or does something else and says what; nothing is
done by default, since a request "to delete" may mean one word of one report. What law makes
necessary goes on (Law 91/2025/QH15, article 19.1), so to restrict and to object end what rests on
consent. Names and numbers are Thái Nguyên ID's, and phone, home and language are everybody's own
to change: for a correction nothing is offered here.
"""

import datetime as dt
import uuid

from sqlalchemy import select
from sqlalchemy.orm import Session

from models import Child, ChildState, Citizen, DataRequest, DataRequestKind
from services import audit, notifications
from services.errors import Invalid
from services.permissions import Actor, Grant
from services.privacy import consents, erasure, export, guardians
from services.privacy.purposes import Purpose, wording

EXPORT = "export"
DELETION = "deletion"
END_RELATION = "end_relation"
WITHDRAW = "withdraw"
# Chosen where something is offered and something else was done.
NOTHING = "nothing"

K = DataRequestKind


class RemedyNotChosen(Invalid):
    """Choose what the system does for the request, or that you did something else."""

    vi = "Hãy chọn việc hệ thống thực hiện, hoặc rằng bạn đã thực hiện cách khác."


class RemedyNotOffered(Invalid):
    """The system cannot do this for the request, or not any more."""

    vi = "Hệ thống không làm được việc này cho yêu cầu, hoặc việc này không còn cần nữa."


def offered(session: Session, request: DataRequest) -> list[str]:
    """What can be done for a request now; empty where nothing can.

    Codes: export, deletion, end_relation, withdraw, which is of everything that was agreed to, and
    withdraw:PURPOSE.
    """
    if request.kind in {K.VIEW, K.COPY}:
        # A child's data stand in the copy of who named them.
        return [EXPORT]
    if request.child_id is not None:
        child = session.get_one(Child, request.child_id)
        is_open = request.kind is K.DELETE and child.state is not ChildState.ENDED
        return [END_RELATION] if is_open else []
    if request.kind is K.DELETE:
        citizen = session.get_one(Citizen, request.citizen_id)
        return [DELETION] if citizen.deletion_due_at is None else []
    if request.kind in {K.WITHDRAW, K.RESTRICT, K.OBJECT}:
        purposes = [row.purpose for row in consents.running(session, request.citizen_id)]
        single = purposes if request.kind is K.WITHDRAW else []
        return [*(f"{WITHDRAW}:{purpose}" for purpose in single), *([WITHDRAW] if purposes else [])]
    return []


def hold(session: Session, request_id: uuid.UUID) -> None:
    """Lock who asked, before their request is: the order in which they are erased."""
    asker = select(DataRequest.citizen_id).where(DataRequest.id == request_id).scalar_subquery()
    session.execute(
        select(Citizen).where(Citizen.id == asker).with_for_update(key_share=True)
    ).scalar_one_or_none()


def carry_out(
    session: Session, actor: Actor, request: DataRequest, does: str, *, by: Grant, at: dt.datetime
) -> None:
    """Do what was chosen, record it and tell the citizen; who asked is locked by `hold`.

    Raises:
        RemedyNotOffered
    """
    if does not in offered(session, request):
        raise RemedyNotOffered
    citizen_id = request.citizen_id
    if does == EXPORT:
        export.prepare(session, citizen_id, at=at)
    elif does == DELETION:
        erasure.ask_for(session, citizen_id, actor=actor, by=by, at=at)
    elif does == END_RELATION:
        child = session.get_one(
            Child, request.child_id, with_for_update=True, populate_existing=True
        )
        guardians.end(session, child, audit.Deed.CHILD_END, actor=actor, by=by, at=at, why=does)
        _tell(session, request, "child_ended", at=at)
    else:
        purpose = does.partition(":")[2]
        ended = [
            row for row in consents.running(session, citizen_id) if purpose in {"", row.purpose}
        ]
        for row in ended:
            consents.withdraw(session, row, actor=actor, by=by, at=at)
        # In both languages, since a letter is read in the language of its reader's moment.
        named = {
            f"purposes_{locale}": "; ".join(
                wording(Purpose(row.purpose), locale).title for row in ended
            )
            for locale in ("vi", "en")
        }
        _tell(session, request, "consents_withdrawn", at=at, **named)


def _tell(
    session: Session, request: DataRequest, kind: str, *, at: dt.datetime, **facts: str
) -> None:
    notifications.tell(
        session, request.citizen_id, kind, subject=("data_request", request.id), at=at, **facts
    )
