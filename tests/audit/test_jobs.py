"""The chain grows by itself, its head is signed every hour, and the signature is kept elsewhere."""

import json
import time

import pytest
from structlog.testing import capture_logs

from jobs import tasks
from jobs.context import Context
from notifications.memory import MemoryPush
from services import audit
from services.audit import AuditKeys
from services.storage import StorageUnavailable, open_storage
from tests import factories, stores
from tests.audit.conftest import public_half
from tests.jobs.test_worker import environment, has_started
from tests.processes import running, wait_for


@pytest.fixture
def context(ledger, clock):
    return Context(
        db=ledger.db,
        storage=ledger.storage,
        vault=factories.VAULT,
        push=MemoryPush,
        now=clock,
        audit_keys=ledger.keys,
    )


def positions(ledger):
    with ledger.db.reading() as session:
        return [each.position for each in audit.latest_checkpoints(session, 99)]


def copies(ledger):
    return sorted(ledger.storage.names("audit/checkpoints"))


@pytest.mark.parametrize(("batches", "chained"), [(2, 2000), (50, 2500)])
def test_a_run_takes_in_batch_after_batch_and_ends(ledger, context, monkeypatch, batches, chained):
    monkeypatch.setattr(tasks, "CHAIN_BATCHES", batches)
    ledger.by_force(
        """
        INSERT INTO audit_events (id, at, actor_kind, action, subject_type, detail)
        SELECT gen_random_uuid(), now(), 'system', 'audit:verify', 'audit', '{}'
          FROM generate_series(1, 2500)
        """
    )

    tasks.chain_audit(context)

    assert len(ledger.chained()) == chained


def test_an_event_is_chained_within_ten_seconds_of_its_commit(ledger, settings, tmp_path):
    url = ledger.db.sessions.kw["bind"].url.render_as_string(hide_password=False)
    env = environment(settings, url.replace("+psycopg", ""), {})
    with running("jobs.worker", "upkeep", log=tmp_path / "log", **env):
        wait_for("the worker", lambda: has_started(tmp_path / "log"))
        for _ in range(2):
            before = len(ledger.chained())
            ledger.write()
            began = time.monotonic()
            wait_for("the chain", lambda: len(ledger.chained()) > before, seconds=20)  # noqa: B023
            assert time.monotonic() - began < 10


def test_the_head_is_signed_copied_and_told_to_the_log(ledger, context):
    ledger.write(3)
    ledger.chain()

    with capture_logs() as lines:
        tasks.sign_audit(context)

    (line,) = lines
    copy = json.loads(ledger.storage.get("audit/checkpoints/3.json"))
    assert (line["event"], line["position"]) == ("audit_checkpoint", 3)
    assert copy["hash"] == line["hash"]
    assert (copy["position"], copy["key_id"]) == (3, ledger.keys.key_id)
    assert copy["at"] == "2026-11-23T03:00:00.000000Z"
    done, faults = ledger.looked_at()
    assert (faults, done.guaranteed.position) == ([], 3)


def test_where_nothing_is_new_nothing_is_signed(ledger, context):
    tasks.sign_audit(context)
    assert positions(ledger) == []
    ledger.write()
    ledger.chain()

    tasks.sign_audit(context)
    with capture_logs() as lines:
        tasks.sign_audit(context)

    assert positions(ledger) == [1]
    assert lines == []


def test_what_was_signed_while_the_store_was_away_is_copied_later(
    ledger, context, clock, monkeypatch
):
    for name, value in stores.variables(stores.closed()).items():
        monkeypatch.setenv(name, value)
    away = Context(
        db=ledger.db,
        storage=open_storage("s3://photos"),
        vault=factories.VAULT,
        push=MemoryPush,
        now=clock,
        audit_keys=ledger.keys,
    )
    for _ in range(2):
        ledger.write()
        ledger.chain()
        with pytest.raises(StorageUnavailable):
            tasks.sign_audit(away)
    assert (positions(ledger), copies(ledger)) == ([2, 1], [])

    tasks.sign_audit(context)

    assert copies(ledger) == ["1.json", "2.json"]
    assert ledger.faults() == []


@pytest.mark.parametrize("has_public", [False, True])
def test_a_worker_without_the_key_chains_and_complains(ledger, clock, has_public):
    keys = AuditKeys(public_half(ledger.pem)) if has_public else None
    keyless = Context(
        db=ledger.db,
        storage=ledger.storage,
        vault=factories.VAULT,
        push=MemoryPush,
        now=clock,
        audit_keys=keys,
    )
    ledger.write()
    tasks.chain_audit(keyless)

    with capture_logs() as lines:
        tasks.sign_audit(keyless)

    assert [line["event"] for line in lines] == ["audit_key_missing"]
    assert len(ledger.chained()) == 1
    assert positions(ledger) == []


def test_the_sweep_of_photos_leaves_the_copies_alone(ledger, context, clock):
    ledger.write()
    ledger.chain()
    tasks.sign_audit(context)
    clock.forward(days=40_000)

    tasks.sweep_files(context)

    assert copies(ledger) == ["1.json"]
