"""What no real provider has: the list of accounts, key roll-over and faults on demand."""

from flask import Blueprint, Response, abort, jsonify, request

from simulators.thainguyen_id.faults import FAULTS, SLOW_SECONDS, Fault
from simulators.thainguyen_id.provider import current_provider

LONGEST_SLOW_SECONDS = 60.0

demo = Blueprint("demo", __name__, url_prefix="/demo")


@demo.get("/people")
def people() -> Response:
    return jsonify([person.as_demo_account() for person in current_provider().directory.people])


@demo.post("/keys/roll")
def roll_keys() -> dict[str, object]:
    keys = current_provider().keys
    keys.roll()
    return keys.public()


@demo.post("/faults")
def add_fault() -> tuple[dict[str, object], int]:
    """`seconds` is for `slow_token` and may be left out, like `times`, which is then one.

    For a single sign-in, `fault` in the authorization request does the same to its code.
    """
    asked = request.get_json()
    provider = current_provider()
    if not isinstance(asked, dict) or asked.get("fault") not in FAULTS:
        abort(422, f"fault must be one of {', '.join(sorted(FAULTS))}")
    if asked.get("client_id") not in provider.clients:
        abort(422, f"client_id must be one of {', '.join(provider.clients)}")
    fault = _fault(asked)
    provider.faults.add(asked["client_id"], fault)
    return {"client_id": asked["client_id"], "fault": fault.name, "times": fault.times}, 201


@demo.delete("/faults")
def clear_faults() -> tuple[str, int]:
    current_provider().faults.clear()
    return "", 204


def _fault(asked: dict[str, object]) -> Fault:
    times, seconds = asked.get("times", 1), asked.get("seconds", SLOW_SECONDS)
    if not isinstance(times, int) or times < 1:
        abort(422, "times must be a whole number above zero")
    if not isinstance(seconds, int | float) or not 0 <= seconds <= LONGEST_SLOW_SECONDS:
        abort(422, f"seconds must be between 0 and {LONGEST_SLOW_SECONDS:g}")
    return Fault(str(asked["fault"]), times, float(seconds))
