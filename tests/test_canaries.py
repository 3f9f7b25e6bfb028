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


def test_one_in_a_row_that_was_rolled_back_is_found_on_the_servers_disk(canary):
    with server() as running:
        running.create_database("ctn_leak")
        with psycopg.connect(running.url("owner", "ctn_leak")) as connection:
            connection.execute("CREATE TABLE notes (text text)")
            connection.commit()
            connection.execute("INSERT INTO notes VALUES (%s)", [canary])
            connection.rollback()
            kept = leaks(running)
            connection.execute("INSERT INTO notes VALUES (%s)", [canary])
            connection.commit()

        assert canary in leaks(running)
        # A server that others run shows its tables only.
        assert bool(kept) is hasattr(running, "home")


def test_one_in_a_table_is_found(canary, postgres):
    with a_database(postgres) as url:
        name = url.rpartition("/")[2].removesuffix(f"_{getattr(postgres, 'suffix', '')}")
        with psycopg.connect(postgres.url("owner", name)) as connection:
            connection.execute("CREATE TEMP TABLE mine (text text)")
            connection.execute("INSERT INTO departments VALUES (%s, 'x', false)", [canary])
            connection.commit()
            found = canaries.in_tables(postgres.url("owner", name))
            connection.execute("DELETE FROM departments WHERE code = %s", [canary])

    assert found == {canary}


def test_one_in_the_log_is_found_and_one_elsewhere_is_not_the_logs(canary):
    line = f'{{"event":"x","kind":"{canary}"}}\n'

    assert canaries.in_lines_of_the_log(line) == {canary}
    assert canaries.in_lines_of_the_log(f"somebody printed {canary}\n") == set()


def test_what_the_factories_invent_is_looked_for(app, session):
    citizen = factories.a_citizen(session)
    pair = factories.signed_in(app, session, citizen)

    told = {factories.VAULT.read(citizen, "number"), factories.VAULT.read(citizen, "phone")}
    assert told | {pair.access_token, pair.refresh_token} <= canaries.ISSUED
