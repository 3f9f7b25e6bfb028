"""Keys that are not those of the database seal nothing, and the system says so."""

import json
import threading
from dataclasses import replace

import pytest
from sqlalchemy import event, func, select, update

import admin
from api.app import create_app
from api.current import EXTENSION
from models import Citizen, DeviceSession, KeyCheck, Staff
from models.base import new_id
from services import identity, keyring
from services.identity.people import meet, recognise_staff, update_me
from services.keyring import KeysUnfit
from services.vault import DATA, INDEX, Unreadable, Vault
from tests import factories
from tests.factories import NOON, VAULT
from tests.identity.conftest import Phone

OTHER = {1: "another-key-of-32-characters-or-more"}
NEXT = {2: "the-next-key-of-32-characters-or-more"}
ME, LOGIN = "/api/v1/me", "/api/v1/auth/login"
# What an operator may have done to the keys, and what the system says of it.
MISTAKES = {
    "another data key under its number": ({"data_keys": OTHER}, "key_wrong"),
    "another index key under its number": ({"index_keys": OTHER}, "key_wrong"),
    "a former data key mistyped": ({"data_keys": NEXT | OTHER}, "key_wrong"),
    "the only data key replaced": ({"data_keys": NEXT}, "key_missing"),
    "the only index key replaced": ({"index_keys": NEXT}, "key_missing"),
}


def vault_of(**changes) -> Vault:
    keys = {"data_keys": factories.DATA_KEYS, "index_keys": factories.INDEX_KEYS} | changes
    return Vault(**keys)


def stored(session) -> list:
    """Everything that is kept of people."""
    session.expire_all()
    tables = Citizen.__table__, Staff.__table__, DeviceSession.__table__, KeyCheck.__table__
    return [sorted(map(repr, session.execute(select(table)))) for table in tables]


@pytest.fixture
def another(settings, database):
    """The application of somebody who gave it other keys, on the same database."""

    def make(**keys):
        app = create_app(replace(settings, **keys), db=database)
        admin.init_app(app)
        return app

    return make


def reasons(app) -> list[str]:
    answer = app.test_client().get("/readyz")
    return answer.json.get("reasons", [])


def test_the_first_use_of_a_key_is_written_down(session):
    assert session.scalars(select(KeyCheck)).all() == []

    for _ in range(2):
        factories.a_citizen(session)

    rows = session.scalars(select(KeyCheck)).all()
    assert {(row.purpose, row.key_id): row.mac for row in rows} == VAULT.checks


def test_looking_whether_all_is_well_writes_nothing(app, session):
    assert reasons(app) == []

    assert session.scalars(select(KeyCheck)).all() == []


def test_with_the_keys_of_the_database_all_is_well(app, another, session):
    factories.a_staff(session)

    assert reasons(app) == []
    assert reasons(another(data_keys=factories.DATA_KEYS | NEXT)) == []
    assert reasons(another(data_keys=NEXT | factories.DATA_KEYS)) == []


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistaken_key_makes_a_process_not_ready(another, session, mistake):
    factories.a_staff(session)
    keys, reason = MISTAKES[mistake]

    answer = another(**keys).test_client().get("/readyz")

    assert (answer.status_code, answer.json["code"]) == (503, "not_ready")
    assert answer.json["reasons"] == [reason]


def test_a_key_that_no_row_needs_any_more_may_be_taken_away(another, session):
    changing = vault_of(data_keys=NEXT | factories.DATA_KEYS)
    citizen = factories.a_citizen(session)
    keyring.confirm(session, vault=changing)
    assert reasons(another(data_keys=NEXT)) == ["key_missing"]

    changing.rewrap(citizen)
    session.commit()

    assert reasons(another(data_keys=NEXT)) == []


@pytest.mark.parametrize("table", [Citizen, Staff])
def test_every_table_that_seals_is_asked_for_the_keys_it_needs(session, table):
    factories.a_staff(session)
    session.execute(update(table).values(data_key=b"\x01\x07" + bytes(60)))

    found = keyring.faults(session, vault=VAULT)

    assert (found.wrong, found.missing) == ([], [(DATA, 7)])


def test_a_data_key_that_is_none_names_no_key(session):
    citizen = factories.a_citizen(session)
    citizen.data_key = b"\x01"
    session.commit()

    assert keyring.faults(session, vault=VAULT).missing == [(DATA, 0)]


def test_citizens_and_staff_are_the_tables_that_seal():
    assert {table.__tablename__ for table in keyring.keepers()} >= {"citizens", "staff"}


def test_which_keys_are_in_use_is_told_by_an_index(session):
    """However many citizens there are, since it is asked every second."""
    session.execute(func.set_config("enable_seqscan", "off", True).select())  # There are too few.
    plans = []

    def explain(connection, _cursor, statement, parameters, *_):
        if "FROM citizens" in statement and not statement.startswith("EXPLAIN"):
            explained = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
            plans.append("\n".join(line for (line,) in explained))

    connection = session.connection()
    event.listen(connection, "before_cursor_execute", explain)
    keyring.faults(session, vault=VAULT)
    event.remove(connection, "before_cursor_execute", explain)

    for name in ("ix_citizens_wrapped_by", "ix_citizens_index_key_id"):
        assert any(name in plan for plan in plans), plans


WRONG = [mistake for mistake, (_, reason) in MISTAKES.items() if reason == "key_wrong"]


@pytest.mark.parametrize("mistake", WRONG)
def test_by_a_wrong_key_nobody_is_let_in_and_nothing_is_written(another, session, mistake):
    factories.a_staff(session)
    app = another(**MISTAKES[mistake][0])
    before = stored(session)

    asked = Phone(app.extensions[EXTENSION].settings).login()
    answer = app.test_client().post(LOGIN, json=asked)

    assert (answer.status_code, answer.json["code"]) == (503, "keys_unfit")
    assert stored(session) == before


@pytest.mark.parametrize("mistake", WRONG)
def test_by_a_wrong_key_no_phone_number_is_written(another, session, mistake):
    citizen = factories.a_citizen(session)
    app = another(**MISTAKES[mistake][0])
    headers = factories.bearer(app, session, citizen)
    before = stored(session)

    answer = app.test_client().patch(ME, json={"phone": "0987654321"}, headers=headers)

    assert (answer.status_code, answer.json["code"]) == (503, "keys_unfit")
    assert stored(session) == before


def test_by_a_wrong_key_nobody_is_invited(another, session):
    factories.a_staff(session)
    before = stored(session)

    result = (
        another(index_keys=OTHER)
        .test_cli_runner()
        .invoke(args=["create-admin", "--name", "Ma Văn Quản"], input="019099000001\n")
    )

    assert result.exit_code == 1
    assert "not those of its database" in result.output
    assert stored(session) == before


def test_without_the_needed_key_a_person_is_not_read_and_not_written_over(another, session):
    citizen = factories.a_citizen(session)
    app = another(data_keys=NEXT)
    headers = factories.bearer(app, session, citizen)
    before = stored(session)[0]
    client = app.test_client()

    read = client.get(ME, headers=headers)
    written = client.patch(ME, json={"phone": "0987654321"}, headers=headers)

    assert (read.status_code, read.json["code"]) == (503, "unreadable")
    assert (written.status_code, written.json["code"]) == (503, "unreadable")
    assert stored(session)[0] == before


def test_of_processes_with_different_keys_the_first_one_goes_on(committed):
    ours, theirs = VAULT, vault_of(data_keys=OTHER)
    ended = []

    def start_theirs():
        try:
            with committed.transaction() as session:
                meet(session, factories.claims(), vault=theirs, at=NOON)
        except KeysUnfit:
            ended.append("refused")

    with committed.transaction() as session:
        citizen = meet(session, factories.claims(), vault=ours, at=NOON)
        other = threading.Thread(target=start_theirs)
        other.start()
        other.join(0.3)
        assert other.is_alive()  # It waits for what becomes of the first one.
    other.join()

    assert ended == ["refused"]
    with committed.reading() as session:
        assert session.scalars(select(Citizen.id)).all() == [citizen.id]
        assert keyring.faults(session, vault=ours).wrong == []


def test_who_was_first_and_failed_leaves_the_place_to_the_next(committed):
    def begin_and_fail():
        with committed.transaction() as session:
            keyring.confirm(session, vault=vault_of(data_keys=OTHER))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        begin_and_fail()

    with committed.transaction() as session:
        keyring.confirm(session, vault=VAULT)


def test_processes_that_begin_at_once_with_the_same_keys_all_begin(committed):
    together, ended = threading.Barrier(8), []

    def begin():
        together.wait()
        with committed.transaction() as session:
            meet(session, factories.claims(), vault=VAULT, at=NOON)
        ended.append("well")

    threads = [threading.Thread(target=begin) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert ended == ["well"] * 8


def test_two_requests_make_one_key_for_one_person(committed):
    """Somebody of the time before keys signs in while their app stores a phone number."""
    told = factories.claims()
    without = dict.fromkeys(
        ("data_key", "number_sealed", "phone_sealed", "birth_date_sealed"), None
    )
    with committed.transaction() as session:
        citizen = meet(session, told, vault=VAULT, at=NOON)
        session.execute(update(Citizen).values(without))

    with committed.transaction() as slow:
        actor = factories.citizen_actor(citizen)
        seen = identity.get_citizen(slow, actor)
        assert seen.data_key is None
        with committed.transaction() as quick:
            meet(quick, replace(told, phone=None), vault=VAULT, at=NOON)
        update_me(slow, actor, vault=VAULT, at=NOON, phone="0987654321")

    with committed.reading() as session:
        kept = session.get_one(Citizen, citizen.id)
        assert VAULT.read(kept, "number") == told.citizen_number
        assert VAULT.read(kept, "phone") == "+84987654321"


def test_staff_that_was_invited_under_a_former_key_is_known_by_the_current_one(session):
    told = factories.claims()
    staff = factories.invited(session, told.citizen_number)
    staff.data_key = staff.number_sealed = None  # As before numbers were sealed.
    session.commit()
    changing = vault_of(
        data_keys=NEXT | factories.DATA_KEYS, index_keys=NEXT | factories.INDEX_KEYS
    )

    citizen = meet(session, told, vault=changing, at=NOON)
    entered = recognise_staff(session, citizen, told, vault=changing)

    changed = Vault(data_keys=NEXT, index_keys=NEXT)
    assert entered.id == staff.id
    assert (entered.index_key_id, entered.number_index) == (2, changed.index(told.citizen_number))
    assert changed.read(entered, "number") == told.citizen_number


def test_a_row_that_is_only_being_made_gets_a_key_too(session):
    row = Citizen(id=new_id())

    keyring.provide(session, row, vault=VAULT)
    VAULT.write(row, "phone", "+84912345678")

    assert VAULT.read(row, "phone") == "+84912345678"


def test_a_row_that_has_a_key_keeps_it(session):
    citizen = factories.a_citizen(session)
    before = citizen.data_key

    keyring.provide(session, citizen, vault=VAULT)

    assert citizen.data_key == before


@pytest.fixture
def spoiled(session, citizen, headers):
    """The citizen of `headers`, whose phone number was changed behind our back."""
    citizen.phone_sealed = citizen.phone_sealed[:-1] + bytes([citizen.phone_sealed[-1] ^ 1])
    session.commit()
    return headers


def counted(app) -> float:
    for line in app.extensions["metrics"].exposition().decode().splitlines():
        if line.startswith('unreadable_values_total{column="citizens.phone_sealed"}'):
            return float(line.split()[-1])
    return 0


def test_what_does_not_open_is_not_shown_and_raises_an_alarm(app, client, spoiled, citizen, capsys):
    answer = client.get(ME, headers=spoiled | {"Accept-Language": "en"})

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    alarms = [line for line in lines if line["event"] == "unreadable"]
    assert (answer.status_code, answer.json["code"]) == (503, "unreadable")
    assert answer.mimetype == "application/problem+json"
    assert answer.json.keys() == {
        *("type", "title", "status", "detail", "code", "request_id"),
    }
    assert counted(app) == 1
    assert [(line["level"], line["kind"]) for line in alarms] == [
        ("error", "citizens.phone_sealed")
    ]
    assert str(citizen.id) not in json.dumps(alarms)


def test_each_time_counts_and_only_then(app, client, spoiled, session):
    client.get(ME, headers=spoiled)
    client.get(ME, headers=factories.bearer(app, session, factories.a_citizen(session)))
    client.patch(ME, json={"phone": "0987654321"}, headers=spoiled)

    assert counted(app) == 2


def test_what_does_not_open_raises_the_alarm_from_a_page_too(app, client):
    def spoil():
        raise Unreadable("citizens.phone_sealed")

    app.view_functions["admin.sign_in.signed_out"] = spoil

    answer = client.get("/admin/signed-out")

    assert (answer.status_code, answer.mimetype) == (503, "text/html")
    assert counted(app) == 1


def test_a_purpose_has_its_own_numbers():
    assert vault_of(index_keys=NEXT).checks.keys() == {(DATA, 1), (INDEX, 2)}
