"""Guardians: naming a child, the check of the relation, and who may act for whom until when."""

import datetime as dt
import uuid

import pytest
from sqlalchemy import select, update

from jobs import tasks
from models import AuditEvent, Child, ChildState, Citizen, InboxMessage, Relation
from services.calendar import ZONE
from services.errors import Forbidden, Stale
from services.permissions import OwnCase
from services.privacy import checks, guardians, retention
from services.privacy.checks import (
    ChildGrewUp,
    RefusalNeedsReason,
    RelationDecided,
    RelationNotFound,
)
from services.vault import Vault
from tests import factories
from tests.factories import NOON, VAULT

CHILDREN = "/api/v1/me/children"
TOLD = {
    "full_name": "Nguyễn Văn Bé",
    "citizen_number": "019221000123",
    "birth_date": "2021-05-06",
    "relation": "parent",
}


@pytest.fixture
def name(client, headers):
    def ask(key=None, **changes):
        more = {"Idempotency-Key": key} if key else {}
        return client.post(CHILDREN, json=TOLD | changes, headers=headers | more)

    return ask


def stored(session) -> list[Child]:
    session.expire_all()
    return session.scalars(select(Child).order_by(Child.id)).all()


def actions(session) -> list[str]:
    query = select(AuditEvent.action).where(AuditEvent.subject_type == "child")
    return list(session.scalars(query.order_by(AuditEvent.id)))


def acts(session, citizen, child_id, at=NOON) -> bool:
    session.expire_all()
    return guardians.acts_for(session, citizen.id, child_id, vault=VAULT, at=at) is not None


def test_a_child_is_named_and_waits_for_a_check(session, citizen, name):
    answer = name()

    assert (answer.status_code, answer.json["state"]) == (201, "pending")
    assert answer.json == {
        "id": str(stored(session)[0].id),
        "full_name": "Nguyễn Văn Bé",
        "citizen_number": "019*****0123",
        "birth_date": "2021-05-06",
        "relation": "parent",
        "state": "pending",
        "acts": False,
        "ends_on": "2037-05-06",
        "refusal": None,
        "created_at": "2026-11-23T03:00:00Z",
        "decided_at": None,
    }
    assert not acts(session, citizen, stored(session)[0].id)
    assert actions(session) == ["child:name"]


def test_below_level_2_no_date_tells_when_a_child_was_born(session, citizen, name):
    name()
    actor = factories.citizen_actor(citizen)
    weak = type(actor)(actor.kind, actor.id, acr="urn:thainguyen:loa:1")

    (shown,) = guardians.mine(session, weak, vault=VAULT, at=NOON)

    assert (shown.full_name, shown.birth_date, shown.ends_on) == ("Nguyễn Văn Bé", None, None)
    (whole,) = guardians.mine(session, actor, vault=VAULT, at=NOON)
    assert whole.birth_date == dt.date(2021, 5, 6)


def test_what_was_told_of_a_child_lies_sealed(session, name):
    name()

    (child,) = stored(session)
    kept = (
        b"|".join(value for value in vars(child).values() if isinstance(value, bytes))
        + repr(child.__dict__).encode()
    )
    for secret in ("Nguyễn", "Bé", "019221000123", "2021-05-06"):
        assert secret.encode() not in kept
    assert VAULT.read(child, "name") == "Nguyễn Văn Bé"
    assert VAULT.read(child, "number") == "019221000123"
    assert VAULT.read(child, "birth_date") == "2021-05-06"
    assert child.number_index == VAULT.index("019221000123")


def test_nothing_personal_of_a_child_is_in_the_record(session, name):
    name()

    events = session.scalars(select(AuditEvent).where(AuditEvent.subject_type == "child")).all()
    assert [event.detail for event in events] == [{"relation": "parent"}]


def test_a_name_is_tidied(name):
    assert name(full_name="  Nguyễn Văn\u200b Bé ").json["full_name"] == "Nguyễn Văn Bé"


@pytest.mark.parametrize(
    "birth_date",
    ["2010-11-23", "2010-11-22", "1990-01-01", "2026-11-24", "2030-01-01", "9999-12-31"],
)
def test_who_is_no_child_is_refused(session, name, birth_date):
    answer = name(birth_date=birth_date)

    assert (answer.status_code, answer.json["code"]) == (422, "not_a_child")
    assert stored(session) == []


@pytest.mark.parametrize("birth_date", ["2010-11-24", "2026-11-23"])
def test_a_child_is_one_until_the_day_before_the_sixteenth_birthday(name, birth_date):
    assert name(birth_date=birth_date).status_code == 201


def test_the_day_is_that_of_this_country(name, clock):
    clock.now = dt.datetime(2026, 11, 23, 17, 30, tzinfo=dt.UTC)  # Half past midnight here.

    assert name(birth_date="2010-11-24").json["code"] == "not_a_child"
    assert name(birth_date="2026-11-24").status_code == 201


@pytest.mark.parametrize(
    ("born", "day", "child"),
    [
        ((2010, 11, 24), (2026, 11, 23), True),
        ((2010, 11, 24), (2026, 11, 24), False),
        ((2012, 2, 29), (2028, 2, 28), True),
        ((2012, 2, 29), (2028, 2, 29), False),
        ((2084, 2, 29), (2100, 2, 28), True),
        ((2084, 2, 29), (2100, 3, 1), False),
    ],
)
def test_sixteen_is_reached_on_the_birthday(born, day, child):
    morning = dt.datetime(*day, 3, tzinfo=dt.UTC)

    assert guardians.is_child(dt.date(*born), at=morning) is child


def test_ones_own_number_is_no_childs(session, citizen, name):
    answer = name(citizen_number=VAULT.read(citizen, "number"))

    assert (answer.status_code, answer.json["code"]) == (422, "own_number")
    assert stored(session) == []


def test_a_child_is_named_once(session, name):
    name()

    answer = name(full_name="Tên khác", relation="guardian")

    assert (answer.status_code, answer.json["code"]) == (409, "already_named")
    assert len(stored(session)) == 1


def test_a_child_is_named_once_although_the_keys_changed(session, citizen):
    factories.a_child(session, citizen, citizen_number="019221000123")
    newer = Vault(
        data_keys=factories.DATA_KEYS,
        index_keys={2: "a-newer-index-key-of-the-tests-of-32", **factories.INDEX_KEYS},
    )
    told = guardians.Claim("Bé", "019221000123", dt.date(2021, 5, 6), Relation.PARENT)

    with pytest.raises(guardians.AlreadyNamed):
        guardians.claim(session, factories.citizen_actor(citizen), told, vault=newer, at=NOON)


def test_a_number_that_others_have_gets_the_same_answer_as_one_that_nobody_has(session, name):
    known = factories.a_citizen(session, "Người Đã Dùng")
    other = factories.a_citizen(session, "Người Kia")
    factories.a_child(session, other, citizen_number="019221000555")

    answers = [
        name(citizen_number=number)
        for number in ("019221000777", VAULT.read(known, "number"), "019221000555")
    ]

    hidden = ("id", "citizen_number")
    bodies = [{k: v for k, v in a.json.items() if k not in hidden} for a in answers]
    assert [answer.status_code for answer in answers] == [201] * 3
    assert bodies[0] == bodies[1] == bodies[2]


@pytest.mark.parametrize(
    "changes",
    [
        {"citizen_number": "01922100012"},
        {"citizen_number": "0192210001234"},
        {"citizen_number": "01922100012a"},
        {"citizen_number": "٠" * 12},
        {"citizen_number": "019221000123\n"},
        {"citizen_number": 19221000123},
        {"birth_date": "06/05/2021"},
        {"birth_date": "2021-02-30"},
        {"birth_date": 20210506},
        {"birth_date": None},
        {"relation": "uncle"},
        {"relation": None},
        {"full_name": ""},
        {"full_name": "x" * 101},
        {"full_name": None},
        {"state": "confirmed"},
        {"guardian_id": str(uuid.UUID(int=1))},
        {"acts": True},
    ],
)
def test_what_cannot_be_right_is_refused(session, name, changes):
    answer = name(**changes)

    assert (answer.status_code, answer.json["code"]) == (422, "invalid")
    assert "019221000123" not in answer.text
    assert stored(session) == []


def test_a_name_of_nothing_is_refused(name):
    assert name(full_name=" \u200b ").json["code"] == "child_name_blank"


def test_only_a_verified_identity_names_a_child(session, citizen):
    actor = factories.citizen_actor(citizen)
    weak = type(actor)(actor.kind, actor.id, acr="urn:thainguyen:loa:1")
    told = guardians.Claim("Bé", "019221000123", dt.date(2021, 5, 6), Relation.PARENT)

    with pytest.raises(guardians.LevelTooLow):
        guardians.claim(session, weak, told, vault=VAULT, at=NOON)


def test_ten_children_at_a_time_are_enough(session, citizen, name, clock):
    for number in range(10):
        factories.a_child(session, citizen, birth_date=dt.date(2011 + number, 5, 6))

    refused = name()
    clock.now = dt.datetime(2027, 5, 6, 3, tzinfo=dt.UTC)  # The first of them turns 16.
    taken = name()

    assert (refused.status_code, refused.json["code"]) == (409, "too_many_children")
    assert taken.status_code == 201


def test_naming_has_a_limit_a_day(client, headers, name):
    for number in range(20):
        made = name(citizen_number=f"0192210009{number:02}")
        client.delete(f"{CHILDREN}/{made.json['id']}", headers=headers)

    assert name().status_code == 429


def test_the_same_request_again_names_one_child(session, name):
    first, again = name(key="k1"), name(key="k1")

    assert (again.status_code, again.json) == (201, first.json)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert len(stored(session)) == 1
    assert name(key="k1", full_name="Khác").json["code"] == "idempotency_key_reused"


def test_a_citizen_sees_their_own_children_alone(client, session, citizen, headers):
    mine = factories.a_child(session, citizen)
    other = factories.a_citizen(session)
    factories.a_child(session, other)

    items = client.get(CHILDREN, headers=headers).json["items"]

    assert [item["id"] for item in items] == [str(mine)]


def test_releasing_a_child_destroys_what_was_told(client, session, citizen, headers):
    child_id = factories.a_child(session, citizen)

    answers = [client.delete(f"{CHILDREN}/{child_id}", headers=headers) for _ in range(2)]

    (child,) = stored(session)
    assert [answer.status_code for answer in answers] == [204, 204]
    assert (child.state, child.ended_at) == (ChildState.ENDED, NOON)
    assert child.data_key is child.name_sealed is child.number_sealed is None
    assert child.birth_date_sealed is child.number_index is None
    assert client.get(CHILDREN, headers=headers).json["items"] == []
    assert actions(session) == ["child:name", "child:release"]


def test_a_released_child_may_be_named_again(client, session, headers, name):
    first = name().json["id"]
    client.delete(f"{CHILDREN}/{first}", headers=headers)

    assert name().status_code == 201
    assert len(stored(session)) == 2


def test_nobody_releases_somebody_elses_child(client, session, headers, administrator):
    other = factories.a_citizen(session)
    child_id = factories.a_child(session, other, checked_by=administrator)

    answers = [
        client.delete(f"{CHILDREN}/{which}", headers=headers) for which in (child_id, uuid.uuid4())
    ]

    assert {(answer.status_code, answer.json["code"]) for answer in answers} == {
        (404, "child_not_found")
    }
    assert acts(session, other, child_id)


def test_a_confirmed_relation_lets_the_guardian_act_and_tells_them(
    client, session, citizen, headers, administrator
):
    child_id = factories.a_child(session, citizen, checked_by=administrator)

    assert acts(session, citizen, child_id)
    (item,) = client.get(CHILDREN, headers=headers).json["items"]
    assert (item["state"], item["acts"]) == ("confirmed", True)
    assert factories.inbox_kinds(session, citizen) == ["child_confirmed"]
    assert actions(session) == ["child:name", "child:confirm"]


def test_nobody_else_acts_for_the_child(session, citizen, administrator):
    child_id = factories.a_child(session, citizen, checked_by=administrator)
    other = factories.a_citizen(session)

    assert not acts(session, other, child_id)
    assert not acts(session, citizen, uuid.uuid4())


def test_the_relation_ends_by_itself_on_the_sixteenth_birthday(
    client, session, citizen, headers, administrator, clock
):
    child_id = factories.a_child(
        session, citizen, checked_by=administrator, birth_date=dt.date(2010, 12, 1)
    )
    last_moment = dt.datetime(2026, 11, 30, 16, 59, tzinfo=dt.UTC)

    assert acts(session, citizen, child_id, at=last_moment)
    assert not acts(session, citizen, child_id, at=last_moment + dt.timedelta(minutes=1))
    clock.now = last_moment + dt.timedelta(minutes=1)
    (item,) = client.get(CHILDREN, headers=headers).json["items"]
    assert (item["state"], item["acts"], item["ends_on"]) == ("confirmed", False, "2026-12-01")


def test_a_refusal_tells_why_and_keeps_the_name_alone(session, citizen, administrator):
    child_id = factories.a_child(session, citizen)

    checks.refuse(
        session,
        factories.staff_actor(administrator),
        child_id,
        reason=" Giấy khai sinh không khớp. ",
        version=1,
        at=NOON,
    )
    session.commit()

    (child,) = stored(session)
    assert (child.state, child.refusal) == (ChildState.REFUSED, "Giấy khai sinh không khớp.")
    assert child.number_sealed is child.birth_date_sealed is child.number_index is None
    assert VAULT.read(child, "name") == "Nguyễn Văn Bé"
    (message,) = session.scalars(select(InboxMessage))
    assert (message.kind, message.facts) == (
        "child_refused",
        {"text": "Giấy khai sinh không khớp."},
    )
    assert not acts(session, citizen, child_id)


def test_a_refusal_needs_a_reason(session, citizen, administrator):
    child_id = factories.a_child(session, citizen)

    with pytest.raises(RefusalNeedsReason):
        checks.refuse(
            session,
            factories.staff_actor(administrator),
            child_id,
            reason=" \u200b",
            version=1,
            at=NOON,
        )


def test_a_child_that_grew_up_meanwhile_is_not_confirmed(session, citizen, administrator):
    child_id = factories.a_child(session, citizen, birth_date=dt.date(2010, 12, 1))

    with pytest.raises(ChildGrewUp):
        checks.confirm(
            session,
            factories.staff_actor(administrator),
            child_id,
            version=1,
            vault=VAULT,
            at=NOON + dt.timedelta(days=30),
        )


def test_an_administrator_does_not_confirm_their_own_child(session, administrator):
    person = session.get_one(Citizen, administrator.citizen_id)
    child_id = factories.a_child(session, person)
    actor = factories.staff_actor(administrator)

    with pytest.raises(OwnCase):
        checks.confirm(session, actor, child_id, version=1, vault=VAULT, at=NOON)
    with pytest.raises(OwnCase):
        checks.refuse(session, actor, child_id, reason="Vì thế.", version=1, at=NOON)


def test_a_decision_is_made_once(session, citizen, administrator):
    child_id = factories.a_child(session, citizen, checked_by=administrator)
    actor = factories.staff_actor(administrator)

    with pytest.raises(Stale):
        checks.refuse(session, actor, child_id, reason="Vì thế.", version=1, at=NOON)
    with pytest.raises(RelationDecided):
        checks.refuse(session, actor, child_id, reason="Vì thế.", version=2, at=NOON)


def test_two_administrators_at_once_make_one_decision(committed, at_once):
    with committed.sessions() as session:
        citizen = factories.a_citizen(session)
        child_id = factories.a_child(session, citizen)
        staff = [factories.a_staff(session, (("administrator", None),)) for _ in range(6)]
    outcomes = []

    def decide(number):
        actor = factories.staff_actor(staff[number])
        try:
            with committed.transaction() as session:
                if number % 2:
                    checks.confirm(session, actor, child_id, version=1, vault=VAULT, at=NOON)
                else:
                    checks.refuse(session, actor, child_id, reason="Vì thế.", version=1, at=NOON)
            outcomes.append("won")
        except Stale:
            outcomes.append("stale")

    at_once(decide, 6)

    assert sorted(outcomes) == ["stale"] * 5 + ["won"]
    with committed.sessions() as session:
        assert len(factories.inbox_kinds(session, citizen)) == 1


def test_naming_children_at_once_stops_at_ten(committed, at_once):
    with committed.sessions() as session:
        citizen = factories.a_citizen(session)
        for _ in range(8):
            factories.a_child(session, citizen)
    outcomes = []

    def name_one(number):
        told = guardians.Claim("Bé", f"0192219999{number:02}", dt.date(2021, 5, 6), Relation.PARENT)
        try:
            with committed.transaction() as session:
                guardians.claim(
                    session, factories.citizen_actor(citizen), told, vault=VAULT, at=NOON
                )
            outcomes.append("named")
        except guardians.TooManyChildren:
            outcomes.append("refused")

    at_once(name_one, 6)

    assert sorted(outcomes) == ["named"] * 2 + ["refused"] * 4


@pytest.mark.parametrize("role", ["dispatcher", "communicator", "auditor", "health_manager"])
def test_only_administrators_check_guardians(session, citizen, role):
    child_id = factories.a_child(session, citizen)
    actor = factories.staff_actor(factories.a_staff(session, ((role, None),)))

    for ask in (
        lambda: checks.pending(session, actor),
        lambda: checks.read(session, actor, child_id),
        lambda: checks.look(session, actor, child_id, vault=VAULT, at=NOON),
        lambda: checks.confirm(session, actor, child_id, version=1, vault=VAULT, at=NOON),
        lambda: checks.refuse(session, actor, child_id, reason="x", version=1, at=NOON),
    ):
        with pytest.raises(Forbidden):
            ask()
    assert actions(session) == ["child:name"]


def test_a_relation_that_is_not_there_is_not_found(session, administrator):
    actor = factories.staff_actor(administrator)

    with pytest.raises(RelationNotFound):
        checks.look(session, actor, uuid.uuid4(), vault=VAULT, at=NOON)
    with pytest.raises(RelationNotFound):
        checks.confirm(session, actor, uuid.uuid4(), version=1, vault=VAULT, at=NOON)


def test_each_look_is_recorded_with_whose_data_it_was(session, citizen, administrator):
    child_id = factories.a_child(session, citizen)

    look = checks.look(
        session, factories.staff_actor(administrator), child_id, vault=VAULT, at=NOON
    )

    assert (look.child_name, look.child_birth_date) == ("Nguyễn Văn Bé", dt.date(2021, 5, 6))
    assert look.guardian_number == VAULT.read(citizen, "number")
    event = session.scalar(select(AuditEvent).where(AuditEvent.action == "child:read"))
    assert (event.actor_id, event.subject_id) == (administrator.id, child_id)
    assert (event.about_id, event.purpose) == (citizen.id, "guardian_check")
    assert event.detail == {"fields": ["name", "citizen_number", "child"]}
    assert "Nguyễn" not in str(event.detail)


# The end of what was told.


@pytest.fixture
def night(context, clock):
    """Have the nightly jobs done at a moment; its clock stays there."""

    def pass_by(at) -> None:
        clock.now = at
        tasks.date_relations(context)
        tasks.sweep(context, retention.POLICIES)

    return pass_by


def here(*moment) -> dt.datetime:
    return dt.datetime(*moment, tzinfo=ZONE).astimezone(dt.UTC)


def sealed(child) -> list[object]:
    return [
        value
        for value in (
            *(child.data_key, child.name_sealed, child.number_sealed, child.birth_date_sealed),
            *(child.number_index, child.ends_on),
        )
        if value is not None
    ]


def test_only_the_month_of_a_childs_birth_is_in_clear(session, name):
    name(birth_date="2011-12-31")
    name(birth_date="2012-02-29", citizen_number="019212000124")

    assert [child.ends_on for child in stored(session)] == [
        dt.date(2028, 1, 1),
        dt.date(2028, 3, 1),
    ]


@pytest.mark.parametrize("is_confirmed", [True, False])
def test_what_was_told_goes_when_the_month_of_the_sixteenth_birthday_is_over(
    session, citizen, administrator, night, is_confirmed
):
    checked_by = administrator if is_confirmed else None
    factories.a_child(session, citizen, birth_date=dt.date(2010, 12, 5), checked_by=checked_by)
    (child,) = stored(session)
    assert child.ends_on == dt.date(2027, 1, 1)

    night(here(2026, 12, 31, 23, 59))
    (before,) = stored(session)
    assert (before.state is not ChildState.ENDED, len(sealed(before))) == (True, 6)
    night(here(2027, 1, 1, 0, 1))

    (child,) = stored(session)
    assert (child.state, sealed(child)) == (ChildState.ENDED, [])
    assert actions(session)[-1] == "child:end"
    assert factories.inbox_kinds(session, citizen)[-1] == "child_grew_up"
    night(here(2027, 1, 2))
    assert factories.inbox_kinds(session, citizen).count("child_grew_up") == 1


def test_a_relation_that_nobody_checked_for_ninety_days_ends(
    session, citizen, administrator, night
):
    factories.a_child(session, citizen)
    confirmed = factories.a_child(session, citizen, checked_by=administrator)

    night(NOON + dt.timedelta(days=90))
    assert stored(session)[0].state is ChildState.PENDING
    night(NOON + dt.timedelta(days=90, seconds=1))

    child, other = stored(session)
    assert (child.state, sealed(child)) == (ChildState.ENDED, [])
    assert (other.id, other.state) == (confirmed, ChildState.CONFIRMED)
    assert factories.inbox_kinds(session, citizen)[-1] == "child_lapsed"


def test_a_relation_of_a_former_release_gets_its_end_from_what_is_sealed(
    session, citizen, administrator, night
):
    born = dt.date(2010, 11, 25)
    factories.a_child(session, citizen, birth_date=born, checked_by=administrator)
    session.execute(update(Child).values(ends_on=None))
    session.commit()

    night(here(2026, 11, 26))
    assert stored(session)[0].ends_on == dt.date(2026, 12, 1)
    night(here(2026, 12, 2))

    assert stored(session)[0].state is ChildState.ENDED


def test_a_dry_run_says_whose_time_is_over_and_ends_nothing(app, session, citizen, clock):
    factories.a_child(session, citizen, birth_date=dt.date(2010, 12, 5))
    factories.a_child(session, citizen)
    clock.now = here(2027, 3, 1)

    result = app.test_cli_runner().invoke(args=["retention", "--dry-run"])

    assert "child (0 days): 1 due, the oldest of 2026-12-31" in result.output
    assert "child (90 days): 2 due" in result.output
    assert [child.state for child in stored(session)] == [ChildState.PENDING] * 2


def test_the_command_dates_and_ends_relations_too(app, session, citizen, clock):
    factories.a_child(session, citizen, birth_date=dt.date(2010, 12, 5))
    session.execute(update(Child).values(ends_on=None))
    session.commit()
    clock.now = here(2027, 1, 2)

    app.test_cli_runner().invoke(args=["retention"])

    assert stored(session)[0].state is ChildState.ENDED
