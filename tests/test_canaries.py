"""The search for canaries finds what it is there for."""

import psycopg
import pytest

from tests import canaries, factories
from tests.conftest import a_database
from tests.postgres import leaks, server


@pytest.fixture
def canary(monkeypatch):
    """One that nothing else holds, and that is forgotten again."""
    monkeypatch.setattr(canaries, "ISSUED", {"019123456789"})
    return "019123456789"


# Long enough to be compressed, and easy to compress.
AROUND = "Ổ gà trước số nhà 12. " * 100


@pytest.mark.parametrize("around", ["", AROUND], ids=["alone", "in a long text"])
def test_one_in_a_row_that_was_rolled_back_is_found_on_the_servers_disk(canary, around):
    value = around + canary + around
    with server() as running:
        running.create_database("ctn_leak")
        with psycopg.connect(running.url("owner", "ctn_leak")) as connection:
            connection.execute("CREATE TABLE notes (text text)")
            connection.commit()
            connection.execute("INSERT INTO notes VALUES (%s)", [value])
            connection.rollback()
            kept = leaks(running)
            connection.execute("INSERT INTO notes VALUES (%s)", [value])
            connection.commit()

        assert canary in leaks(running)
        # A server that others run shows its tables only.
        assert bool(kept) is hasattr(running, "home")


def test_no_table_or_index_of_the_tests_compresses_anything(postgres):
    query = (
        "SELECT attrelid::regclass::text, attname FROM pg_attribute"
        " JOIN pg_class ON pg_class.oid = attrelid"
        " WHERE attstorage IN ('x', 'm') AND relnamespace = 'public'::regnamespace"
    )
    if not hasattr(postgres, "home"):
        pytest.skip("A server that others run shows its tables only.")
    with a_database(postgres) as url, psycopg.connect(url) as connection:
        assert connection.execute(query).fetchall() == []
        assert connection.execute("SHOW wal_compression").fetchone() == ("off",)


@pytest.mark.parametrize("around", ["", AROUND], ids=["alone", "in a long text"])
def test_one_in_a_table_is_found(canary, postgres, around):
    value = around + canary + around
    with a_database(postgres) as url:
        name = url.rpartition("/")[2].removesuffix(f"_{getattr(postgres, 'suffix', '')}")
        with psycopg.connect(postgres.url("owner", name)) as connection:
            connection.execute("CREATE TEMP TABLE mine (text text)")
            connection.execute("INSERT INTO departments VALUES ('x', %s, false)", [value])
            connection.commit()
            found = canaries.in_tables(postgres.url("owner", name))

    assert found == {canary}


@pytest.mark.parametrize("canary", ["+84912345678", "019123456789"])
def test_a_phone_is_found_as_a_number_is(monkeypatch, canary):
    monkeypatch.setattr(canaries, "ISSUED", {canary})

    line = f'{{"event":"{canary} called"}}\n'

    assert canaries.in_lines_of_the_log(line) == {canary}


def test_one_in_the_log_is_found_and_one_elsewhere_is_not_the_logs(canary):
    line = f'{{"event":"x","kind":"{canary}"}}\n'

    assert canaries.in_lines_of_the_log(line) == {canary}
    assert canaries.in_lines_of_the_log(f"somebody printed {canary}\n") == set()


def test_what_the_factories_invent_is_looked_for(app, session):
    citizen = factories.a_citizen(session)
    pair = factories.signed_in(app, session, citizen)

    told = {factories.VAULT.read(citizen, "number"), factories.VAULT.read(citizen, "phone")}
    assert told | {pair.access_token, pair.refresh_token} <= canaries.ISSUED


def test_an_answer_that_holds_somebody_elses_number_is_found(app, session, monkeypatch):
    citizen, other = factories.a_citizen(session), factories.a_citizen(session)
    phone = factories.VAULT.read(citizen, "phone")
    own, others = (factories.bearer(app, session, each) for each in (citizen, other))

    assert app.test_client().get("/api/v1/me", headers=own).json["phone"] == phone
    monkeypatch.setitem(canaries.OWNERS, phone, str(other.id))
    with pytest.raises(AssertionError, match="to others"):
        app.test_client().get("/api/v1/me", headers=own)
    assert app.test_client().get("/api/v1/me", headers=others).status_code == 200
