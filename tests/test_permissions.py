"""Duties that are not about one report: which role holds which."""

import uuid

import pytest

from models import Role
from services.permissions import Actor, ActorKind, Duty, Grant, holds
from tests import factories

# Written out, not derived; who is not named holds none.
DUTIES = {
    Role.AUDITOR: {Duty.READ_AUDIT},
    Role.DISPATCHER: {Duty.SEE_PAUSES},
    Role.ADMINISTRATOR: {
        Duty.SEE_PAUSES,
        Duty.MANAGE_STAFF,
        Duty.HANDLE_REQUESTS,
        Duty.KEEP_BREACHES,
        Duty.CHECK_GUARDIANS,
    },
}


@pytest.mark.parametrize("role", list(Role))
def test_each_role_has_its_duties(session, role):
    department = "so-y-te" if role in {Role.HANDLER, Role.LEADER} else None
    actor = factories.staff_actor(factories.a_staff(session, ((role.value, department),)))

    assert {duty for duty in Duty if holds(actor, duty)} == DUTIES.get(role, set())


def test_who_has_several_roles_has_the_duties_of_all():
    grants = (Grant(Role.AUDITOR), Grant(Role.ADMINISTRATOR), Grant(Role.DISPATCHER))
    actor = Actor(ActorKind.STAFF, uuid.uuid4(), grants=grants)

    assert {duty for duty in Duty if holds(actor, duty)} == set(Duty)


def test_a_citizen_has_no_duties(session):
    actor = factories.citizen_actor(factories.a_citizen(session))

    assert not any(holds(actor, duty) for duty in Duty)
