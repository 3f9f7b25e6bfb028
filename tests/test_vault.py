"""Sealed values open where they were sealed, unchanged, and nowhere else."""

import itertools
import secrets
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import Citizen, Staff
from models.base import new_id
from services.vault import Unreadable, Vault, wrapped_by

FIRST, SECOND = "the-first-key-of-32-characters-or-more", "the-second-key-of-32-characters-or-more"
OURS = Vault(data_keys={1: FIRST}, index_keys={1: FIRST})
CHANGING = Vault(data_keys={2: SECOND, 1: FIRST}, index_keys={2: SECOND, 1: FIRST})
CHANGED = Vault(data_keys={2: SECOND}, index_keys={2: SECOND})
NUMBER, PHONE = "019099000001", "+84912345678"
SEALED = ("number_sealed", "phone_sealed")


def a_row(vault: Vault = OURS, kind: type = Citizen):
    row = kind(id=new_id())
    vault.equip(row)
    vault.write_number(row, NUMBER)
    if kind is Citizen:
        vault.write(row, "phone", PHONE)
    return row


def opened(row, vault: Vault = OURS) -> list[str]:
    """What can be read of a citizen's row."""
    found = []
    for name in ("number", "phone"):
        try:
            found.append(vault.read(row, name))
        except Unreadable:
            continue
    return found


@given(st.text())
def test_what_was_sealed_opens(text):
    row = a_row()

    OURS.write(row, "phone", text)

    assert OURS.read(row, "phone") == text
    assert len(text) < 6 or text.encode() not in row.phone_sealed


@given(st.text(), st.text())
def test_the_last_text_is_what_a_row_says(former, latter):
    row = a_row()

    OURS.write(row, "phone", former)
    OURS.write(row, "phone", latter)

    assert (OURS.read(row, "phone"), OURS.read(row, "number")) == (latter, NUMBER)


def test_what_says_the_same_already_is_not_written():
    row = a_row()
    before = row.phone_sealed

    OURS.write(row, "phone", PHONE)

    assert row.phone_sealed is before


def test_nothing_is_sealed_as_nothing():
    row = a_row()

    OURS.write(row, "phone", None)

    assert (row.phone_sealed, OURS.read(row, "phone")) == (None, None)


def test_a_blob_is_as_long_as_the_module_says():
    row = a_row()

    assert len(row.data_key) == 1 + 1 + 12 + 32 + 16
    assert len(row.phone_sealed) == 1 + 12 + len(PHONE) + 16


@pytest.mark.parametrize("column", [*SEALED, "data_key"])
def test_what_was_moved_to_another_row_does_not_open(column):
    mine, other = a_row(), a_row()
    mine_was, other_was = getattr(mine, column), getattr(other, column)
    setattr(mine, column, other_was)
    setattr(other, column, mine_was)

    lost = {"number_sealed": [PHONE], "phone_sealed": [NUMBER], "data_key": []}[column]
    assert opened(mine) == opened(other) == lost


def test_what_was_moved_together_with_its_key_does_not_open():
    mine, other = a_row(), a_row()
    for column in ("data_key", *SEALED):
        setattr(mine, column, getattr(other, column))

    assert opened(mine) == []


def test_what_was_moved_to_another_table_does_not_open():
    citizen = a_row()
    staff = Staff(id=citizen.id, data_key=citizen.data_key, number_sealed=citizen.number_sealed)

    with pytest.raises(Unreadable):
        OURS.read(staff, "number")


def test_what_was_moved_to_another_column_does_not_open():
    row = a_row()
    row.number_sealed, row.phone_sealed = row.phone_sealed, row.number_sealed

    assert opened(row) == []


@pytest.mark.parametrize("column", [*SEALED, "data_key"])
def test_a_blob_of_which_one_bit_was_changed_does_not_open(column):
    row = a_row()
    whole = getattr(row, column)
    left = 1 if column in SEALED else 0

    for place, bit in itertools.product(range(len(whole)), range(8)):
        changed = bytearray(whole)
        changed[place] ^= 1 << bit
        setattr(row, column, bytes(changed))
        assert len(opened(row)) == left, f"byte {place}, bit {bit}"


@pytest.mark.parametrize("column", [*SEALED, "data_key"])
def test_a_blob_that_was_cut_or_lengthened_does_not_open(column):
    row = a_row()
    whole = getattr(row, column)
    left = 1 if column in SEALED else 0

    cut = [whole[:length] for length in range(len(whole))]
    for wrong in [*cut, *(whole[start:] for start in range(1, 20)), whole + b"\x00", whole * 2]:
        setattr(row, column, wrong)
        assert len(opened(row)) == left, wrong


@pytest.mark.parametrize("key_id", [0, 2, 3, 255])
def test_a_data_key_under_another_number_does_not_open(key_id):
    row = a_row()
    row.data_key = row.data_key[:1] + bytes([key_id]) + row.data_key[2:]

    assert opened(row, OURS) == opened(row, CHANGING) == []


@pytest.mark.parametrize("form", [0, 2, 255])
@pytest.mark.parametrize("column", [*SEALED, "data_key"])
def test_a_blob_of_another_form_does_not_open(column, form):
    row = a_row()
    left = 1 if column in SEALED else 0

    setattr(row, column, bytes([form]) + getattr(row, column)[1:])

    assert len(opened(row)) == left


@given(st.binary(max_size=100), st.binary(max_size=100))
@settings(max_examples=300)
def test_no_bytes_whatever_are_read_as_text(sealed, data_key):
    row = a_row()
    row.number_sealed = sealed

    with pytest.raises(Unreadable):
        OURS.read(row, "number")

    row = a_row()
    row.data_key = data_key
    with pytest.raises(Unreadable):
        OURS.read(row, "number")
    if wrapped_by(data_key) != CHANGING.data_key_id:
        with pytest.raises(Unreadable):
            CHANGING.rewrap(row)


def test_an_error_says_the_column_and_nothing_of_the_person():
    row = a_row()
    row.phone_sealed = row.phone_sealed[:-1]

    with pytest.raises(Unreadable) as refusal:
        OURS.read(row, "phone")

    assert refusal.value.column == "citizens.phone_sealed"
    assert refusal.value.facts == {}
    assert not {PHONE, str(row.id)} & set(str(refusal.value).split())


def test_a_key_that_was_destroyed_leaves_nothing_to_be_read():
    row = a_row()
    assert opened(row) == [NUMBER, PHONE]  # So that a key kept in memory would show.

    row.data_key = None

    assert opened(row) == []


def test_after_another_data_key_nothing_old_opens():
    row = a_row()

    OURS.equip(row)

    assert opened(row) == []


def test_no_one_seals_into_a_row_without_a_key():
    row = Citizen(id=new_id())

    with pytest.raises(ValueError, match="without a data key"):
        OURS.write(row, "phone", PHONE)

    assert row.phone_sealed is None


def test_what_cannot_be_read_is_not_written_over():
    row = a_row()
    row.phone_sealed = broken = row.phone_sealed[:-1]

    with pytest.raises(Unreadable):
        OURS.write(row, "phone", "+84987654321")

    assert row.phone_sealed is broken


def test_a_hundred_thousand_sealings_repeat_no_nonce_and_no_blob():
    row, nonces, blobs = a_row(), set(), set()

    for _ in range(100_000):
        row.phone_sealed = None
        OURS.write(row, "phone", PHONE)
        nonces.add(row.phone_sealed[1:13])
        blobs.add(row.phone_sealed[13:])

    assert len(nonces) == len(blobs) == 100_000


def test_no_two_data_keys_are_alike():
    rows = [a_row() for _ in range(1000)]

    assert len({row.data_key[2:14] for row in rows}) == 1000
    assert len({row.data_key[14:] for row in rows}) == 1000
    assert len({row.number_sealed for row in rows}) == 1000


def test_threads_may_share_a_vault():
    texts = [secrets.token_hex(8) for _ in range(8)]

    def seal_and_open(text):
        row = a_row()
        for number in range(300):
            OURS.write(row, "phone", f"{text}{number}")
            if OURS.read(row, "phone") != f"{text}{number}":
                return False
        return True

    with ThreadPoolExecutor(len(texts)) as threads:
        assert all(threads.map(seal_and_open, texts))


def test_a_key_that_is_being_changed_opens_what_both_sealed():
    former, latter = a_row(OURS), a_row(CHANGING)

    assert opened(former, CHANGING) == opened(latter, CHANGING) == [NUMBER, PHONE]
    assert (wrapped_by(former.data_key), wrapped_by(latter.data_key)) == (1, 2)
    assert opened(former, CHANGED) == []


def test_a_data_key_is_wrapped_anew_and_what_it_sealed_stays():
    row = a_row(OURS)
    sealed = row.number_sealed, row.phone_sealed

    CHANGING.rewrap(row)

    assert (row.number_sealed, row.phone_sealed) == sealed
    assert opened(row, CHANGED) == [NUMBER, PHONE]
    assert opened(row, OURS) == []


def test_what_is_wrapped_by_the_current_key_is_left_alone():
    row = a_row(CHANGING)
    before = row.data_key

    CHANGING.rewrap(row)

    assert row.data_key is before


def test_a_row_without_a_key_is_not_given_one_by_rewrapping():
    row = Citizen(id=new_id())

    CHANGING.rewrap(row)

    assert row.data_key is None


def test_a_number_is_found_by_the_index_of_either_key():
    former, latter = a_row(OURS), a_row(CHANGING)

    indexes = CHANGING.indexes(NUMBER)

    assert indexes == [latter.number_index, former.number_index]
    assert (former.index_key_id, latter.index_key_id) == (1, 2)
    assert CHANGED.indexes(NUMBER) == [latter.number_index]


def test_an_index_is_one_of_all_numbers_and_of_all_keys():
    numbers = [f"0190990{number:05}" for number in range(200)]
    indexes = {index for number in numbers for index in CHANGING.indexes(number)}

    assert len(indexes) == 400
    assert {len(index) for index in indexes} == {32}


def test_the_checks_tell_keys_apart_and_repeat_none():
    others = Vault(data_keys={1: SECOND, 2: FIRST}, index_keys={1: SECOND, 2: FIRST})

    assert OURS.checks.items() <= CHANGING.checks.items()
    assert len({*CHANGING.checks.values(), *others.checks.values()}) == 8
    assert OURS.index(NUMBER) not in CHANGING.checks.values()
