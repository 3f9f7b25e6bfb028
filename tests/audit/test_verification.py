"""Whoever changes the record, with whatever rights, is found out, and the place is named."""

import datetime as dt
from dataclasses import replace

import pytest

from api.app import create_app
from models import AuditEvent, AuditLink
from services import audit
from services.audit import AuditKeys, Fault
from tests import factories
from tests.audit.conftest import a_key, public_half


@pytest.fixture
def ledger(ledger):
    """Ten events, chained and signed after the fifth, then three that are only chained."""
    ledger.write(5)
    ledger.chain()
    ledger.sign()
    ledger.write(5)
    ledger.chain()
    ledger.sign()
    ledger.write(3)
    ledger.chain()
    return ledger


def test_what_nobody_touched_is_guaranteed_up_to_its_newest_checkpoint(ledger):
    ledger.write(2)

    done, faults = ledger.looked_at()

    assert faults == []
    assert (done.chained, done.waiting, done.guaranteed.position) == (13, 2, 10)


def test_an_empty_log_is_sound(ledger):
    ledger.empty()
    ledger.storage.delete_all("audit")

    done, faults = ledger.looked_at()

    assert (faults, done.chained, done.guaranteed) == ([], 0, None)


COLUMNS = {
    "at": "at + interval '1 microsecond'",
    "actor_kind": "'citizen'",
    "actor_id": "gen_random_uuid()",
    "action": "'report:edit'",
    "subject_type": "'report'",
    "subject_id": "gen_random_uuid()",
    "detail": "'{\"faults\": 1}'",
    "role": "'auditor'",
    "organisation": "'so-y-te'",
    "purpose": "'oversight'",
    "request_id": "'another'",
    "about_id": "gen_random_uuid()",
}


def test_every_column_is_covered():
    covered = {*COLUMNS, "id", "xid"}

    assert covered == {column.name for column in AuditEvent.__table__.columns}


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("position", [1, 7, 13])
def test_a_changed_event_is_named(ledger, column, position):
    event = ledger.event_at(position)
    change = f"{column} = {COLUMNS[column]}"
    ledger.by_force(f"UPDATE audit_events SET {change} WHERE id = %s", event)  # noqa: S608

    assert ledger.looked_at()[1] == [Fault("event_changed", position, event)]


def test_two_changed_events_side_by_side_are_both_named(ledger):
    events = [ledger.event_at(position) for position in (6, 7)]
    ledger.by_force("UPDATE audit_events SET at = now() WHERE id = ANY(%s)", events)

    assert ledger.looked_at()[1] == [
        Fault("event_changed", 6, events[0]),
        Fault("event_changed", 7, events[1]),
    ]


def test_an_event_that_claims_another_transaction_is_named(ledger):
    event = ledger.event_at(3)
    ledger.by_force("UPDATE audit_events SET xid = '1' WHERE id = %s", event)

    assert Fault("event_changed", 3, event) in ledger.looked_at()[1]


@pytest.mark.parametrize("position", [1, 7, 13])
def test_a_removed_event_is_named(ledger, position):
    event = ledger.event_at(position)
    ledger.by_force("DELETE FROM audit_events WHERE id = %s", event)

    assert ledger.looked_at()[1] == [Fault("event_removed", position, event)]


def test_an_event_that_took_its_link_along_is_missed(ledger):
    ledger.by_force("DELETE FROM audit_events WHERE id = %s", ledger.event_at(7))
    ledger.by_force("DELETE FROM audit_chain WHERE position = 7")

    assert ledger.looked_at()[1] == [Fault("links_missing", 7, until=8)]


def test_a_gap_that_was_closed_by_counting_anew_shows_too(ledger):
    ledger.by_force("DELETE FROM audit_events WHERE id = %s", ledger.event_at(7))
    ledger.by_force("DELETE FROM audit_chain WHERE position = 7")
    for position in range(8, 14):
        ledger.by_force(
            "UPDATE audit_chain SET position = %s WHERE position = %s", position - 1, position
        )
    event = ledger.event_at(7)

    assert ledger.looked_at()[1] == [
        Fault("event_changed", 7, event),
        Fault("checkpoint_contradicted", 10),
    ]


def test_a_removed_link_leaves_an_event_that_should_have_one(ledger):
    event = ledger.event_at(7)
    ledger.by_force("DELETE FROM audit_chain WHERE position = 7")

    assert ledger.looked_at()[1] == [
        Fault("links_missing", 7, until=8),
        Fault("event_inserted", event=event),
    ]


def test_a_changed_hash_is_told_from_a_changed_event(ledger):
    ledger.by_force("UPDATE audit_chain SET hash = sha256('x') WHERE position = 7")

    assert ledger.looked_at()[1] == [Fault("link_changed", 7)]


def test_links_that_changed_places_are_named(ledger):
    ledger.by_force("UPDATE audit_chain SET position = 99 WHERE position = 7")
    ledger.by_force("UPDATE audit_chain SET position = 7 WHERE position = 8")
    ledger.by_force("UPDATE audit_chain SET position = 8 WHERE position = 99")

    assert Fault("link_moved", 8) in ledger.looked_at()[1]


def test_an_event_that_is_put_in_later_is_named(ledger):
    ledger.by_force(
        """
        INSERT INTO audit_events (id, at, actor_kind, action, subject_type, detail, xid)
        SELECT gen_random_uuid(), at, actor_kind, action, subject_type, detail, xid
          FROM audit_events WHERE id = %s
        """,
        ledger.event_at(4),
    )

    (fault,) = ledger.looked_at()[1]

    assert fault.kind == "event_inserted"
    assert fault.event not in ledger.chained()


def test_an_event_that_would_wait_for_ever_is_named(ledger):
    ledger.by_force(
        """
        INSERT INTO audit_events (id, at, actor_kind, action, subject_type, detail, xid)
        VALUES (gen_random_uuid(), now(), 'system', 'audit:verify', 'audit', '{}', '9999999999')
        """
    )

    assert ledger.chain() == 0
    assert ledger.faults() == ["event_ahead"]


def test_a_chain_that_was_written_anew_contradicts_its_checkpoint(ledger):
    ledger.by_force("UPDATE audit_events SET detail = '{}' WHERE id = %s", ledger.event_at(7))
    ledger.write_anew_from(7)

    done, faults = ledger.looked_at()

    assert faults == [Fault("checkpoint_contradicted", 10)]
    assert done.guaranteed.position == 5


def test_what_was_written_anew_with_its_checkpoint_has_no_signature(ledger):
    ledger.by_force("UPDATE audit_events SET detail = '{}' WHERE id = %s", ledger.event_at(7))
    ledger.write_anew_from(7)
    ledger.by_force(
        "UPDATE audit_checkpoints SET hash = audit_chain.hash FROM audit_chain"
        " WHERE audit_chain.position = 10 AND audit_checkpoints.position = 10"
    )

    # The copy says what was signed.
    assert ledger.faults() == ["checkpoint_forged", "checkpoint_contradicted"]


def test_what_was_written_anew_without_its_checkpoint_is_found_by_the_copy(ledger):
    ledger.by_force("UPDATE audit_events SET detail = '{}' WHERE id = %s", ledger.event_at(7))
    ledger.write_anew_from(7)
    ledger.by_force("DELETE FROM audit_checkpoints WHERE position = 10")

    assert ledger.faults() == ["checkpoint_removed", "checkpoint_contradicted"]


def test_what_was_written_anew_after_the_last_checkpoint_is_not_found(ledger):
    """As docs/audit.md says; with the hash from elsewhere it is."""
    with ledger.db.reading() as session:
        noted = session.get_one(AuditLink, 12).hash
    ledger.by_force("UPDATE audit_events SET detail = '{}' WHERE id = %s", ledger.event_at(12))
    ledger.write_anew_from(12)

    assert ledger.faults() == []
    assert ledger.looked_at(at12=noted)[1] == [Fault("expectation_missed", 12)]


def cut_from(ledger, position):
    for later in range(position, 14):
        ledger.by_force("DELETE FROM audit_events WHERE id = %s", ledger.event_at(later))
        ledger.by_force("DELETE FROM audit_chain WHERE position = %s", later)


def test_an_end_that_was_cut_off_is_missed_by_its_checkpoint(ledger):
    cut_from(ledger, 9)

    assert ledger.looked_at()[1] == [Fault("chain_cut", 10, until=8)]


def test_an_end_that_was_cut_off_with_its_checkpoint_is_missed_by_the_copy(ledger):
    cut_from(ledger, 9)
    ledger.by_force("DELETE FROM audit_checkpoints WHERE position = 10")

    assert ledger.looked_at()[1] == [
        Fault("checkpoint_removed", 10),
        Fault("chain_cut", 10, until=8),
    ]


def test_a_log_that_was_emptied_is_missed_by_the_copies(ledger):
    ledger.empty()

    assert set(ledger.faults()) == {"checkpoint_removed", "chain_cut"}


@pytest.mark.parametrize(
    "change",
    [
        "signature = decode(repeat('00', 64), 'hex')",
        "at = at + interval '1 second'",
        "hash = sha256('x')",
    ],
)
def test_a_checkpoint_that_was_changed_is_named(ledger, change):
    ledger.by_force(f"UPDATE audit_checkpoints SET {change} WHERE position = 5")  # noqa: S608

    assert ledger.looked_at()[1] == [Fault("checkpoint_forged", 5)]


def test_a_checkpoint_of_a_foreign_key_is_named(ledger):
    foreign = AuditKeys(a_key()).sign(10, bytes(32), at=factories.NOON)
    ledger.by_force(
        "UPDATE audit_checkpoints SET key_id = %s, signature = %s WHERE position = 10",
        foreign.key_id,
        foreign.signature,
    )

    assert ledger.faults() == ["checkpoint_key_unknown"]


def test_a_former_key_stays_good_by_its_public_half(ledger):
    former = public_half(ledger.pem)
    ledger.pem = a_key() + former
    made = ledger.sign()

    done, faults = ledger.looked_at()

    assert (faults, done.guaranteed.position, made.position) == ([], 13, 13)
    assert done.guaranteed.key_id == made.key_id


def test_whoever_only_checks_needs_no_private_key(ledger):
    ledger.pem = public_half(ledger.pem)

    assert ledger.faults() == []
    assert not ledger.keys.can_sign


@pytest.mark.parametrize("content", [b"", b"{}", b"no JSON", b'{"position": 10, "hash": "xy"}'])
def test_a_newest_copy_that_was_spoilt_is_named(ledger, content):
    ledger.storage.put("audit/checkpoints/10.json", content)

    assert ledger.looked_at()[1] == [Fault("copy_forged", 10)]


def test_a_copy_under_another_name_proves_nothing(ledger):
    content = ledger.storage.get("audit/checkpoints/5.json")
    ledger.storage.put("audit/checkpoints/10.json", content)

    assert ledger.looked_at()[1] == [Fault("copy_forged", 10)]


def test_other_files_beside_the_copies_do_no_harm(ledger):
    ledger.storage.put("audit/checkpoints/README.txt", b"moved here in 2026")

    assert ledger.faults() == []


def test_a_fault_does_not_spread_to_what_is_chained_after_it(ledger):
    ledger.by_force("DELETE FROM audit_events WHERE id = %s", ledger.event_at(13))
    ledger.write(3)
    ledger.chain()

    assert [fault.position for fault in ledger.looked_at()[1]] == [13]


def test_more_than_a_batch_is_walked(ledger, monkeypatch):
    monkeypatch.setattr("services.audit.verification.BATCH", 4)
    first, last = ledger.event_at(4), ledger.event_at(13)
    ledger.by_force("DELETE FROM audit_events WHERE id = ANY(%s)", [first, last])

    assert ledger.looked_at()[1] == [
        Fault("event_removed", 4, first),
        Fault("event_removed", 13, last),
    ]


def test_nothing_is_signed_twice_and_nothing_that_is_not_there(ledger):
    assert ledger.sign().position == 13
    assert ledger.sign() is None


@pytest.mark.parametrize("pem", [b"", b"-----BEGIN NONSENSE-----"])
def test_a_file_without_keys_is_refused(pem):
    with pytest.raises(ValueError, match="AUDIT_KEY_FILE"):
        AuditKeys(pem)


def test_a_key_of_another_kind_is_refused(access_key):
    with pytest.raises(TypeError, match="Ed25519"):
        AuditKeys(access_key.read_bytes())


@pytest.fixture
def verify(ledger, settings, clock, tmp_path):
    """The command, as an operator runs it."""
    file = tmp_path / "audit.pem"

    def run(*arguments):
        file.write_bytes(ledger.pem)
        own = replace(settings, audit_key_file=file, storage_url=f"file://{ledger.storage.root}")
        app = create_app(own, db=ledger.db, now=clock)
        return app.test_cli_runner().invoke(args=["verify-audit", *arguments])

    return run


def test_the_command_says_what_is_guaranteed(ledger, verify):
    ledger.write()

    result = verify()

    assert result.exit_code == 0
    assert result.output == (
        "Chained: 13 events; 1 are not chained yet.\n"
        "Guaranteed: events 1 to 10 are as they were written, by the checkpoint of"
        f" 2026-11-23 03:00:00 UTC, key {ledger.keys.key_id}.\n"
        "Faults: 0.\n"
    )


def test_the_command_names_each_fault_and_ends_with_one(ledger, verify):
    event = ledger.event_at(7)
    ledger.by_force("UPDATE audit_events SET detail = '{}' WHERE id = %s", event)

    result = verify()

    assert result.exit_code == 1
    assert f"FAULT event_changed: event {event} at position 7 was changed" in result.output
    assert "events 1 to 5 are as they were written" in result.output
    assert result.output.endswith("Faults: 1.\n")


def test_the_command_leaves_its_result_on_the_record(ledger, verify, clock):
    verify()

    with ledger.db.reading() as session:
        noted = audit.last_verification(session)
    assert (noted.at, noted.detail) == (clock.now, {"chained": 13, "signed": 10, "faults": 0})


def test_the_command_signs_when_it_is_told_to(ledger, verify):
    result = verify("--checkpoint")

    assert result.exit_code == 0
    assert "Signed: 13:" in result.output
    assert ledger.looked_at()[0].guaranteed.position == 13
    assert ledger.storage.get("audit/checkpoints/13.json")
    assert "Signed: nothing new" in verify("--checkpoint").output


def test_the_command_signs_nothing_that_is_wrong(ledger, verify):
    ledger.by_force("DELETE FROM audit_events WHERE id = %s", ledger.event_at(7))

    assert verify("--checkpoint").exit_code == 1
    with ledger.db.reading() as session:
        assert [each.position for each in audit.latest_checkpoints(session, 9)] == [10, 5]


def test_a_hash_of_the_log_can_be_compared(ledger, verify):
    with ledger.db.reading() as session:
        right = session.get_one(AuditLink, 12).hash.hex()

    assert verify("--expect", f"12:{right}").exit_code == 0
    assert "FAULT expectation_missed" in verify("--expect", f"12:{'00' * 32}").output
    assert verify("--expect", f"99:{right}").exit_code == 1
    assert verify("--expect", "twelve").exit_code == 2


def test_the_command_needs_the_key(app):
    result = app.test_cli_runner().invoke(args=["verify-audit"])

    assert result.exit_code == 1
    assert "AUDIT_KEY_FILE is needed" in result.output


def test_a_checkpoint_tells_the_moment_of_its_signature(ledger):
    late = factories.NOON + dt.timedelta(hours=3)

    made = ledger.sign(at=late)

    with ledger.db.reading() as session:
        (newest,) = audit.latest_checkpoints(session, 1)
    assert (newest.position, newest.at) == (made.position, late)
    assert ledger.keys.signed(newest)
    newest.at += dt.timedelta(seconds=1)
    assert not ledger.keys.signed(newest)
