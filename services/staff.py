"""Who works here: administrators invite people, give them roles, and take them away again."""

import datetime as dt
import re
import uuid
from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session, selectinload

from models import Department, Place, RoleGrant, Staff
from services import audit, feedback, identity, permissions
from services.errors import Conflict, Forbidden, Invalid, NotFound, Stale
from services.feedback.workflow import NothingToChange, UnknownDepartment
from services.identity.people import AlreadyStaff, add_staff, as_grant, find_staff
from services.permissions import Actor, Duty, Grant
from services.text import tidy
from services.vault import Vault

_TURN = "change of staff"
_CITIZEN_NUMBER = re.compile("[0-9]{12}")
_COMMUNE = 2


class NotAdministrator(Forbidden):
    """Only administrators manage the staff."""

    vi = "Chỉ quản trị viên được quản lý cán bộ."


class PersonNotFound(NotFound):
    """There is no such member of staff."""

    vi = "Không có cán bộ này."


class OwnAccount(Forbidden):
    """Nobody changes their own roles or disables themselves; ask another administrator."""

    vi = "Không ai tự đổi vai trò hay tự khóa tài khoản của mình; hãy nhờ quản trị viên khác."


class CitizenNumberMalformed(Invalid):
    """A citizen number has twelve digits."""

    vi = "Số định danh cá nhân gồm 12 chữ số."


class NameBlank(Invalid):
    """The name says nothing."""

    vi = "Họ tên đang để trống."


class DepartmentNeeded(Invalid):
    """The role {role} is held in a department: name it."""

    vi = "Vai trò {role} gắn với một đơn vị: hãy nêu đơn vị."


class DepartmentUnfit(Invalid):
    """The role {role} is held in no department."""

    vi = "Vai trò {role} không gắn với đơn vị nào."


class PlacesUnfit(Invalid):
    """The role {role} is not limited to places."""

    vi = "Vai trò {role} không giới hạn theo xã, phường."


class UnknownPlaces(Invalid):
    """These are no communes or wards of the province: {places}."""

    vi = "Đây không phải là xã, phường của tỉnh: {places}."


class RoleTwice(Invalid):
    """The role {role} is named twice for the same department."""

    vi = "Vai trò {role} được nêu hai lần cho cùng một đơn vị."


class RoleNotInUse(Invalid):
    """There is nothing to do for the role {role} yet, so it is not given."""

    vi = "Hệ thống chưa có việc cho vai trò {role} nên chưa giao được."


class RolesApart(Invalid):
    """Nobody is auditor and administrator: who manages the staff is not who checks the record."""

    vi = "Không ai vừa kiểm tra nhật ký vừa quản trị; hãy giao cho hai người khác nhau."


class NotBound(Conflict):
    """No account belongs to this member of staff: they have not entered yet."""

    vi = "Cán bộ này chưa gắn với tài khoản nào vì chưa vào lần nào."


def people(
    session: Session,
    actor: Actor,
    *,
    department: str | None = None,
    disabled: bool | None = None,
    before: uuid.UUID | None = None,
    limit: int,
) -> Sequence[Staff]:
    """Members of staff with their roles, those invited last first; those older than `before`.

    Raises:
        NotAdministrator
    """
    _require(actor)
    query = select(Staff).options(selectinload(Staff.grants))
    if department is not None:
        query = query.where(Staff.grants.any(RoleGrant.department_code == department))
    if disabled is not None:
        query = query.where(
            Staff.disabled_at.is_not(None) if disabled else Staff.disabled_at.is_(None)
        )
    if before is not None:
        query = query.where(Staff.id < before)
    return session.scalars(query.order_by(Staff.id.desc()).limit(limit)).all()


def person(session: Session, actor: Actor, staff_id: uuid.UUID) -> Staff:
    """One member of staff with their roles.

    Raises:
        NotAdministrator, PersonNotFound
    """
    _require(actor)
    return _load(session, staff_id)


def invite(
    session: Session,
    actor: Actor | None,
    *,
    citizen_number: str,
    name: str,
    roles: Sequence[Grant],
    vault: Vault,
    at: dt.datetime,
) -> Staff:
    """Let the person of this citizen number in, who then signs in with Thái Nguyên ID.

    `actor` is None on the command line, where the first administrator is made.

    Raises:
        NotAdministrator, CitizenNumberMalformed, AlreadyStaff, NameBlank, RoleNotInUse, RolesApart,
        DepartmentNeeded, DepartmentUnfit, PlacesUnfit, UnknownDepartment, UnknownPlaces, RoleTwice,
        KeysUnfit
    """
    if actor is not None:
        _begin(session, actor)
    if not _CITIZEN_NUMBER.fullmatch(citizen_number):
        raise CitizenNumberMalformed
    if find_staff(session, citizen_number, vault=vault) is not None:
        raise AlreadyStaff
    staff = add_staff(session, citizen_number, vault=vault, name=_name(name), at=at)
    _check(session, roles, given=set(roles))
    _give(staff, roles)
    _audit(session, actor, staff, audit.Deed.STAFF_INVITE, at=at, given=_codes(roles))
    session.flush()
    return staff


def change(
    session: Session,
    actor: Actor,
    staff_id: uuid.UUID,
    *,
    version: int,
    at: dt.datetime,
    name: str | None = None,
    roles: Sequence[Grant] | None = None,
    disabled: bool | None = None,
) -> Staff:
    """Change what is named; `roles` are all that the person is to have.

    Whoever loses a role, or places of one, or is disabled is signed out, and the open reports that
    they may work on no more go back to their department's queue.

    Raises:
        NotAdministrator, PersonNotFound, Stale (`version` is not today's), OwnAccount,
        NothingToChange, and what `invite` raises for names and roles
    """
    _begin(session, actor)
    staff = _load(session, staff_id, locked=True)
    if staff.version != version:
        raise Stale
    if name is None and roles is None and disabled is None:
        raise NothingToChange
    if staff.id == actor.id and (roles is not None or disabled is not None):
        raise OwnAccount
    if name is not None:
        staff.name = _name(name)
        _audit(session, actor, staff, audit.Deed.STAFF_RENAME, at=at)
    if roles is not None:
        _change_roles(session, actor, staff, roles, at=at)
    if disabled is not None:
        _disable(session, actor, staff, disabled=disabled, at=at)
    staff.version += 1
    session.flush()
    return staff


def release(
    session: Session, actor: Actor, staff_id: uuid.UUID, *, version: int, at: dt.datetime
) -> Staff:
    """Take a member of staff apart from the citizen's account that they entered by.

    For when the provider gave them a new one. Their staff sessions end; whoever signs in next at
    level 2 with the number of the invitation is them.

    Raises:
        NotAdministrator, PersonNotFound, Stale (`version` is not today's), OwnAccount, NotBound
    """
    _begin(session, actor)
    staff = _load(session, staff_id, locked=True)
    if staff.version != version:
        raise Stale
    if staff.id == actor.id:
        raise OwnAccount
    if staff.citizen_id is None:
        raise NotBound
    identity.end_staff_sessions(session, staff, "released", by=actor, at=at)
    staff.citizen_id = None
    staff.version += 1
    _audit(session, actor, staff, audit.Deed.STAFF_RELEASE, at=at)
    session.flush()
    return staff


def _change_roles(
    session: Session, actor: Actor, staff: Staff, roles: Sequence[Grant], *, at: dt.datetime
) -> None:
    before = {as_grant(row) for row in staff.grants}
    _check(session, roles, given=set(roles) - before)
    _give(staff, roles)
    taken = {held for held in before if not any(role.includes(held) for role in roles)}
    _audit(
        session,
        actor,
        staff,
        audit.Deed.STAFF_CHANGE_ROLES,
        at=at,
        given=_codes(set(roles) - before),
        taken=_codes(taken),
    )
    if taken:
        _withdraw(session, actor, staff, "roles_changed", keeps=roles, at=at)


def _disable(
    session: Session, actor: Actor, staff: Staff, *, disabled: bool, at: dt.datetime
) -> None:
    if disabled is (staff.disabled_at is not None):
        return
    staff.disabled_at = at if disabled else None
    deed = audit.Deed.STAFF_DISABLE if disabled else audit.Deed.STAFF_ENABLE
    _audit(session, actor, staff, deed, at=at)
    if disabled:
        _withdraw(session, actor, staff, "disabled", keeps=(), at=at)


def _withdraw(
    session: Session,
    actor: Actor,
    staff: Staff,
    reason: str,
    *,
    keeps: Sequence[Grant],
    at: dt.datetime,
) -> None:
    session.flush()
    identity.end_staff_sessions(session, staff, reason, by=actor, at=at)
    feedback.give_back(session, actor, staff, keeps=keeps, at=at)


def _require(actor: Actor) -> None:
    if not permissions.holds(actor, Duty.MANAGE_STAFF):
        raise NotAdministrator


def _begin(session: Session, actor: Actor) -> None:
    """Take turns, and see that the actor is still an administrator when the turn has come.

    So two administrators who take each other's role at the same moment do not both succeed, and as
    nobody takes their own, one is always left.
    """
    _require(actor)
    session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(_TURN, 0))))
    try:
        identity.hold_roles(session, actor)
    except identity.NotStaff as error:
        raise NotAdministrator from error


def _load(session: Session, staff_id: uuid.UUID, *, locked: bool = False) -> Staff:
    query = select(Staff).where(Staff.id == staff_id).options(selectinload(Staff.grants))
    if locked:
        query = query.with_for_update(of=Staff).execution_options(populate_existing=True)
    staff = session.scalar(query)
    if staff is None:
        raise PersonNotFound
    return staff


def _name(typed: str) -> str:
    name = tidy(typed)
    if not name:
        raise NameBlank
    return name


def _check(session: Session, roles: Sequence[Grant], *, given: set[Grant]) -> None:
    """See that these roles can be held together, and that those newly given can be given."""
    if {grant.role for grant in roles} >= permissions.NEVER_TOGETHER:
        raise RolesApart
    for grant in given:
        role = grant.role.value
        if grant.role not in permissions.IN_USE:
            raise RoleNotInUse(role=role)
        if grant.role in permissions.NEED_A_DEPARTMENT and grant.department is None:
            raise DepartmentNeeded(role=role)
        if grant.role in permissions.TAKE_NO_DEPARTMENT and grant.department is not None:
            raise DepartmentUnfit(role=role)
        if grant.role in permissions.TAKE_NO_PLACES and grant.places is not None:
            raise PlacesUnfit(role=role)
    counted = Counter((grant.role, grant.department) for grant in roles)
    for (role_twice, _), count in counted.items():
        if count > 1:
            raise RoleTwice(role=role_twice.value)
    _check_departments(session, {grant.department for grant in given if grant.department})
    _check_places(session, {code for grant in given for code in grant.places or ()})


def _check_departments(session: Session, codes: set[str]) -> None:
    open_ones = select(Department.code).where(
        Department.code.in_(codes), Department.closed_at.is_(None)
    )
    for code in sorted(codes - set(session.scalars(open_ones))):
        raise UnknownDepartment(department=code)


def _check_places(session: Session, codes: set[str]) -> None:
    communes = select(Place.code).where(Place.code.in_(codes), Place.level == _COMMUNE)
    if unknown := sorted(codes - set(session.scalars(communes))):
        raise UnknownPlaces(places=", ".join(unknown))


def _give(staff: Staff, roles: Sequence[Grant]) -> None:
    """Have the row hold these roles; those that stay as they are keep their rows."""
    kept = [row for row in staff.grants if as_grant(row) in set(roles)]
    held = {as_grant(row) for row in kept}
    staff.grants[:] = kept + [
        RoleGrant(
            role=grant.role,
            department_code=grant.department,
            place_codes=None if grant.places is None else sorted(grant.places),
        )
        for grant in roles
        if grant not in held
    ]


def _codes(roles: Sequence[Grant] | set[Grant]) -> list[str]:
    """Roles as the record names them: "handler:so-xay-dung", or "dispatcher::05443,05455"."""
    return sorted(
        ":".join(
            [grant.role.value, grant.department or "", ",".join(sorted(grant.places or ()))]
        ).rstrip(":")
        for grant in roles
    )


def _audit(
    session: Session,
    actor: Actor | None,
    staff: Staff,
    deed: audit.Deed,
    *,
    at: dt.datetime,
    **codes: Any,
) -> None:
    audit.record(
        session,
        deed,
        actor=actor,
        by=permissions.may(actor, Duty.MANAGE_STAFF) if actor else None,
        subject=("staff", staff.id),
        at=at,
        **codes,
    )
