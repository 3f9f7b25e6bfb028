"""`rotate-keys`: every row comes to the current keys, and nothing else changes."""

import re
from dataclasses import replace

import pytest
from sqlalchemy import select, update

from api.app import create_app
from models import Citizen, KeyCheck, Staff
from services import keyring
from services.vault import Vault, wrapped_by
from tests import factories
from tests.factories import VAULT

SECOND = {2: "the-second-key-of-32-characters-or-more"}
DATA_KEYS, INDEX_KEYS = SECOND | factories.DATA_KEYS, SECOND | factories.INDEX_KEYS
CHANGED = Vault(data_keys=SECOND, index_keys=SECOND)
SEALED = ("number_sealed", "phone_sealed", "birth_date_sealed")


@pytest.fixture
def rotate(settings, database):
    """The command, by an installation whose keys are being changed unless others are given."""

    def run(*arguments: str, **keys):
        keys = {"data_keys": DATA_KEYS, "index_keys": INDEX_KEYS} | keys
        app = create_app(replace(settings, **keys), db=database)
        return app.test_cli_runner().invoke(args=["rotate-keys", *arguments])

    return run


@pytest.fixture
def people(session, monkeypatch):
    """Some citizens, two of them staff, in several batches."""
    monkeypatch.setattr(keyring, "BATCH", 2)
    citizens = [factories.a_citizen(session) for _ in range(3)]
    staff = [factories.a_staff(session) for _ in range(2)]
    citizens += [session.get_one(Citizen, each.citizen_id) for each in staff]
    return citizens, staff


def told(citizen, vault) -> list[str]:
    return [vault.read(citizen, name) for name in ("number", "phone", "birth_date")]


def test_all_comes_to_the_current_keys_and_says_the_same(rotate, session, people):
    citizens, staff = people
    before = [told(citizen, VAULT) for citizen in citizens]

    result = rotate()

    session.expire_all()
    assert result.exit_code == 0, result.output
    assert [told(citizen, CHANGED) for citizen in citizens] == before
    for row in (*citizens, *staff):
        assert wrapped_by(row.data_key) == row.index_key_id == 2
        assert row.number_index == CHANGED.index(CHANGED.read(row, "number"))


def test_it_tells_what_each_key_is_needed_for(rotate, people):
    assert people

    lines = rotate().output.splitlines()

    assert lines[-4:] == [
        "DATA_KEYS 1: 0 rows; may be taken away",
        "DATA_KEYS 2: 7 rows; the current key",
        "INDEX_KEYS 1: 0 rows; may be taken away",
        "INDEX_KEYS 2: 7 rows; the current key",
    ]
    assert "citizens: 5 rows looked at, 5 changed; DATA_KEYS 2: 5, INDEX_KEYS 2: 5" in lines


def everything(session, table) -> dict:
    session.expire_all()
    rows = session.execute(select(table.__table__)).mappings()
    return {row["id"]: dict(row) for row in rows}


@pytest.mark.parametrize("table", [Citizen, Staff])
def test_nothing_else_is_changed(rotate, session, people, table):
    assert people
    before = everything(session, table)

    rotate()

    after = everything(session, table)
    changed = {name for id_, row in after.items() for name in row if row[name] != before[id_][name]}
    assert changed == {"data_key", "number_index", "index_key_id"}
    assert before.keys() == after.keys()


def test_a_second_time_changes_nothing(rotate, session, people):
    assert people
    rotate()
    before = everything(session, Citizen)

    result = rotate()

    assert result.exit_code == 0
    assert "5 rows looked at, 0 changed" in result.output
    assert everything(session, Citizen) == before


def test_a_dry_run_counts_and_changes_nothing(rotate, session, people):
    assert people
    before = everything(session, Citizen), everything(session, Staff)
    checks = session.scalars(select(KeyCheck.key_id)).all()

    result = rotate("--dry-run")

    assert result.exit_code == 0
    assert result.output.splitlines()[-4:] == [
        "DATA_KEYS 1: 7 rows; 7 would change",
        "DATA_KEYS 2: 0 rows; the current key",
        "INDEX_KEYS 1: 7 rows; 7 would change",
        "INDEX_KEYS 2: 0 rows; the current key",
    ]
    assert (everything(session, Citizen), everything(session, Staff)) == before
    assert session.scalars(select(KeyCheck.key_id)).all() == checks


def test_the_keys_change_one_kind_at_a_time_too(rotate, session, people):
    citizens, _ = people

    result = rotate(index_keys=factories.INDEX_KEYS)

    session.expire_all()
    assert result.exit_code == 0
    assert {wrapped_by(each.data_key) for each in citizens} == {2}
    assert {each.index_key_id for each in citizens} == {1}


def test_an_index_without_a_sealed_number_is_counted_and_left(rotate, session, people):
    """As rows are from before numbers were sealed; their owners' next sign-in mends them."""
    citizens, staff = people
    before = citizens[0].number_index
    for row in (citizens[0], staff[0]):
        row.number_sealed = None
    session.commit()

    result = rotate()

    session.expire_all()
    assert result.exit_code == 1
    assert (
        "INDEX_KEYS 1: 2 rows; 2 have no sealed number to make an index from,"
        " until that person signs in again\n"
    ) in result.output
    assert "DATA_KEYS 1: 0 rows; may be taken away" in result.output
    assert (citizens[0].number_index, citizens[0].index_key_id) == (before, 1)
    assert (citizens[1].index_key_id, wrapped_by(citizens[0].data_key)) == (2, 2)


def test_who_has_no_number_and_no_key_is_passed_by(rotate, session, people):
    assert people
    nothing = dict.fromkeys(("data_key", "number_index", *SEALED), None)
    session.execute(update(Citizen).values(nothing))
    session.commit()

    result = rotate()

    assert result.exit_code == 0, result.output
    assert "DATA_KEYS 2: 2 rows; the current key" in result.output
    assert everything(session, Citizen)


def test_what_does_not_open_is_counted_and_left(rotate, session, people):
    citizens, _ = people
    sound = citizens[0].data_key
    citizens[0].data_key = spoiled = sound[:-1] + bytes([sound[-1] ^ 1])
    session.commit()

    result = rotate()

    session.expire_all()
    assert result.exit_code == 1
    assert "DATA_KEYS 1: 1 rows; 1 do not open\n" in result.output
    assert "INDEX_KEYS 1: 1 rows; 1 do not open\n" in result.output
    assert citizens[0].data_key == spoiled
    assert {wrapped_by(each.data_key) for each in citizens[1:]} == {2}


def test_a_key_that_is_not_here_is_named(rotate, session, people):
    citizens, _ = people

    result = rotate(data_keys=SECOND)

    session.expire_all()
    assert result.exit_code == 1
    assert "DATA_KEYS 1: 7 rows; not among the keys that are here; 7 do not open" in result.output
    assert {wrapped_by(each.data_key) for each in citizens} == {1}


@pytest.mark.parametrize("arguments", [(), ("--dry-run",)])
def test_a_wrong_key_rotates_nothing(rotate, session, people, arguments):
    assert people
    keyring.confirm(session, vault=Vault(data_keys=DATA_KEYS, index_keys=INDEX_KEYS))
    session.commit()
    before = everything(session, Citizen)

    result = rotate(*arguments, data_keys={2: "not-what-was-written-down-under-two"})

    assert (result.exit_code, result.output) == (
        1,
        "DATA_KEYS 2: not the key that was used under this number\n",
    )
    assert everything(session, Citizen) == before


def test_no_number_and_no_id_is_printed(rotate, people):
    citizens, _ = people

    printed = rotate().output + rotate("--dry-run").output

    assert not re.search(r"\d{6}", printed)
    assert not any(str(citizen.id) in printed for citizen in citizens)


def test_a_row_that_somebody_holds_is_left_and_nobody_waits(committed):
    changing = Vault(data_keys=DATA_KEYS, index_keys=INDEX_KEYS)
    with committed.sessions() as session:
        mine, other = (factories.a_citizen(session).id for _ in range(2))

    with committed.transaction() as holder:
        holder.get_one(Citizen, mine, with_for_update=True)
        with committed.transaction() as session:
            standing, last = keyring.rotate(session, Citizen, after=None, vault=changing)

    assert (standing.looked, standing.changed, last) == (2, 1, other)
    assert standing.left == {("data", 1, "waiting"): 1, ("index", 1, "waiting"): 1}
    with committed.transaction() as session:
        standing, _ = keyring.rotate(session, Citizen, after=None, vault=changing)
    assert (standing.changed, standing.left) == (1, {})


def test_a_report_is_taken_while_its_reporter_is_brought_to_another_key(committed):
    """What only names a row that is being changed does not wait for it."""
    changing = Vault(data_keys=DATA_KEYS, index_keys=INDEX_KEYS)
    with committed.sessions() as session:
        citizen = factories.a_citizen(session)

    with committed.transaction() as session:
        keyring.rotate(session, Citizen, after=None, vault=changing)
        session.flush()
        with committed.sessions() as other:
            device = factories.citizen_on_a_device(other, citizen)

    assert device.session_id


def test_a_batch_takes_the_same_statements_however_many_rows_it_has(session, statements):
    changing = Vault(data_keys=DATA_KEYS, index_keys=INDEX_KEYS)
    keyring.confirm(session, vault=changing)
    session.commit()
    counts = []
    for size in (2, 20):
        for _ in range(size):
            factories.a_citizen(session)
        with statements() as sent:
            standing, _ = keyring.rotate(session, Citizen, after=None, vault=changing)
            session.commit()
        assert standing.changed == size
        counts.append(len(sent))

    assert counts[0] == counts[1]
