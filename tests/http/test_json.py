"""What counts as JSON: stricter than the standard library, by the wire and by api.json.load."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.json import MAX_DEPTH, Malformed, dump, load
from tests import factories

JSON = "application/json"
MALFORMED = {
    "200 KB of brackets": b"[" * 200_000,
    "20,000 objects in one another": b'{"a":' * 20_000,
    "an unclosed list": b"[",
    "21 lists": b"[" * 21 + b"]" * 21,
    "21 lists around a number": b"[" * 21 + b"1" + b"]" * 21,
    "21 objects": b'{"a":' * 21 + b"1" + b"}" * 21,
    "NaN": b'{"a": NaN}',
    "Infinity": b'{"a": Infinity}',
    "-Infinity": b"[-Infinity]",
    "1e400": b'{"a": 1e400}',
    "-1e400": b"-1e400",
    "a name twice": b'{"a": 1, "a": 1}',
    "a name twice, once escaped": b'[{"a": 1, "\\u0061": 2}]',
    "a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "UTF-16 without a mark": '{"a": 1}'.encode("utf-16-le"),
    "UTF-32": '{"a": 1}'.encode("utf-32"),
    "Latin-1": '{"a": "é"}'.encode("latin-1"),
    "an overlong slash": b'["\xc0\xaf"]',
    "an encoded surrogate": b'["\xed\xa0\x80"]',
    "NUL": b'["\\u0000"]',
    "NUL in a name": b'{"\\u0000": 1}',
    "a raw NUL": b'["\x00"]',
    "half a surrogate pair": b'["\\ud800"]',
    "the other half in a name": b'{"\\udc00": 1}',
    "a pair the wrong way round": b'["\\udc00\\ud800"]',
    "5,000 digits": b"[" + b"9" * 5_000 + b"]",
    "a comment": b"{} // no",
    "single quotes": b"{'a': 1}",
    "two values": b"{} {}",
    "nothing but blanks": b"   ",
}

numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"))
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
almost_json = st.text(st.sampled_from('[]{}",:0123456789eE+-.\\u tfnalsr\x00é')).map(str.encode)


def depth(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


def wrapped(value: object, times: int) -> object:
    for _ in range(times):
        value = [value]
    return value


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_what_is_not_our_json_is_malformed(client, body):
    answer = client.post("/api/v1/auth/refresh", data=body, content_type=JSON)

    assert (answer.status_code, answer.json["code"]) == (400, "malformed_json")
    assert answer.json["reason"]


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_the_parser_gives_a_reason_for_what_it_refuses(body):
    with pytest.raises(Malformed, match=r"\w{3}"):
        load(body)


@pytest.mark.parametrize("deepest", [b"[" * 20 + b"]" * 20, b'{"a":' * 20 + b"1" + b"}" * 20])
def test_twenty_levels_are_allowed(deepest):
    assert depth(load(deepest)) == MAX_DEPTH


def test_a_large_number_in_a_field_is_a_wrong_value(app, client, session):
    headers = factories.bearer(app, session, factories.a_citizen(session))
    draft = json.dumps({"lat": 10**400, "lng": 105.8}).encode()

    answer = client.post("/api/v1/reports", data=draft, content_type=JSON, headers=headers)

    assert (answer.status_code, answer.json["code"]) == (422, "invalid")


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8"])
def test_json_by_its_name_is_read(client, kind):
    answer = client.post("/api/v1/auth/refresh", data='{"refresh_token": "x"}', content_type=kind)

    assert answer.json["code"] == "invalid_grant"


@settings(derandomize=True, deadline=None)
@given(values, st.integers(0, MAX_DEPTH))
def test_any_value_of_up_to_twenty_levels_comes_through_unchanged(value, around):
    value = wrapped(value, max(0, around - depth(value)))

    assert depth(value) <= MAX_DEPTH
    assert load(json.dumps(value)) == value
    assert load(dump(value)) == value


@settings(derandomize=True, deadline=None)
@given(values, st.integers(1, 30))
def test_any_value_of_more_levels_is_refused(value, more):
    value = wrapped(value, MAX_DEPTH - depth(value) + more)

    with pytest.raises(Malformed):
        load(json.dumps(value))


@settings(derandomize=True, deadline=None, max_examples=500)
@given(st.binary() | almost_json)
def test_no_bytes_bring_anything_but_a_value_or_a_refusal(body):
    try:
        value = load(body)
    except Malformed:
        return

    assert load(json.dumps(value)) == value


@pytest.mark.parametrize(
    "address",
    [
        "/api/v1/places/%00",
        "/api/v1/nothing%00",
        "/api/v1/places?q=%00",
        "/api/v1/places?q=a&q=%00",
        "/api/v1/places?%00=a",
        "/api/v1/public/reports/TN-26-%00",
        "/api/v1/files/%00",
    ],
)
def test_an_address_with_nul_is_unreadable(client, address):
    answer = client.get(address)

    assert (answer.status_code, answer.json["code"]) == (400, "unreadable_address")


@pytest.mark.parametrize("text", ["%ED%A0%80", "%FF%FE", "%25%30%30", "%F0%9F%9A%A7", "%2500"])
def test_any_other_address_finds_nothing(client, text):
    place, search = client.get(f"/api/v1/places/{text}"), client.get(f"/api/v1/places?q={text}")

    assert place.json["code"] == "place_not_found"
    assert search.json == {"items": []}
