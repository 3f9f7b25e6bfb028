"""What Google checks in a message before it looks at the target.

https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

TARGETS = ("token", "fid", "topic", "condition")
MAX_PAYLOAD_BYTES = 4096
MAX_TTL_SECONDS = 4 * 7 * 24 * 3600
MAX_COLLAPSE_BYTES = 64

TTL = re.compile(r"\d{1,10}(\.\d{1,9})?s")
TOPIC = re.compile(r"[a-zA-Z0-9-_.~%]{1,900}")
LABEL = re.compile(r"[a-zA-Z0-9-_.~%]{1,50}")
RESERVED_DATA_KEY = re.compile(r"from|message_type|google.*|gcm.*", re.DOTALL)

Check = Callable[[str, Any], None]


class Refused(Exception):
    """A field breaks a rule; `field` is its path."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"Invalid value at '{field}': {reason}")
        self.field = field


def check_request(body: object) -> tuple[dict[str, Any], bool]:
    """Give the message of a send request, its fields in snake case, and whether to deliver it.

    Raises:
        Refused: Some field is one that Google would not take.
    """
    if not isinstance(body, dict):
        raise Refused("(root)", "must be a JSON object")
    body = _snake_case(body)
    _fields({"message": _message, "validate_only": _boolean}, "", body)
    if "message" not in body:
        raise Refused("message", "is required")
    return _snake_case(body["message"]), not body.get("validate_only")


def target_of(message: Mapping[str, Any]) -> tuple[str, str]:
    """Give the kind and the value of a checked message's one target."""
    kind = next(kind for kind in TARGETS if kind in message)
    return kind, message[kind]


def _snake_case(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Read lowerCamelCase and snake_case alike, as every protobuf JSON parser must."""
    return {re.sub("([A-Z])", r"_\1", name).lower(): value for name, value in fields.items()}


def _fields(known: Mapping[str, Check], path: str, value: object) -> None:
    if not isinstance(value, dict):
        raise Refused(path, "must be an object")
    for name, content in _snake_case(value).items():
        where = f"{path}.{name}" if path else name
        if name not in known:
            raise Refused(where, "unknown field")
        known[name](where, content)


def _object(known: Mapping[str, Check]) -> Check:
    return lambda path, value: _fields(known, path, value)


def _text(path: str, value: object) -> None:
    if not isinstance(value, str):
        raise Refused(path, "must be a string")


def _boolean(path: str, value: object) -> None:
    if not isinstance(value, bool):
        raise Refused(path, "must be a boolean")


def _struct(path: str, value: object) -> None:
    if not isinstance(value, dict):
        raise Refused(path, "must be an object")


def _anything(path: str, value: object) -> None:
    """Let pass what this simulator does not look into."""


def _one_of(*allowed: str) -> Check:
    def check(path: str, value: object) -> None:
        if value not in allowed:
            raise Refused(path, f"must be one of {', '.join(allowed)}")

    return check


def _matching(pattern: re.Pattern[str], reason: str) -> Check:
    def check(path: str, value: object) -> None:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise Refused(path, reason)

    return check


def _text_map(path: str, value: object) -> None:
    if not isinstance(value, dict):
        raise Refused(path, "must be an object")
    for key, content in value.items():
        _text(f"{path}[{key}]", content)


def _data(path: str, value: dict[str, Any]) -> None:
    _text_map(path, value)
    for key in value:
        if RESERVED_DATA_KEY.fullmatch(key):
            raise Refused(f"{path}[{key}]", "is a reserved key")


def _ttl(path: str, value: object) -> None:
    _matching(TTL, 'must be seconds such as "3600s"')(path, value)
    if float(str(value)[:-1]) > MAX_TTL_SECONDS:
        raise Refused(path, "must not be over four weeks")


def _apns_headers(path: str, value: dict[str, Any]) -> None:
    _text_map(path, value)
    headers = {name.lower(): content for name, content in value.items()}
    if len(headers.get("apns-collapse-id", "").encode()) > MAX_COLLAPSE_BYTES:
        raise Refused(f"{path}[apns-collapse-id]", f"is over {MAX_COLLAPSE_BYTES} bytes")
    if headers.get("apns-priority", "10") not in {"1", "5", "10"}:
        raise Refused(f"{path}[apns-priority]", "must be 1, 5 or 10")
    if not headers.get("apns-expiration", "0").isdigit():
        raise Refused(f"{path}[apns-expiration]", "must be a number of seconds since 1970")


_NOTIFICATION_TEXTS = """
    title body icon color sound tag click_action body_loc_key title_loc_key channel_id ticker
    image event_time
"""
_NOTIFICATION_FLAGS = """
    sticky local_only default_sound default_vibrate_timings default_light_settings
    bypass_proxy_notification
"""
_NOTIFICATION_REST = """
    body_loc_args title_loc_args vibrate_timings light_settings notification_count visibility
    notification_priority proxy
"""
_OPTIONS = _object({"analytics_label": _matching(LABEL, "is malformed"), "image": _text})
_ANDROID_NOTIFICATION = _object(
    dict.fromkeys(_NOTIFICATION_TEXTS.split(), _text)
    | dict.fromkeys(_NOTIFICATION_FLAGS.split(), _boolean)
    | dict.fromkeys(_NOTIFICATION_REST.split(), _anything)
)
_ANDROID = _object(
    {
        "collapse_key": _text,
        "priority": _one_of("NORMAL", "HIGH", "normal", "high"),
        "ttl": _ttl,
        "restricted_package_name": _text,
        "data": _data,
        "notification": _ANDROID_NOTIFICATION,
        "fcm_options": _OPTIONS,
        "direct_boot_ok": _boolean,
        "bandwidth_constrained_ok": _boolean,
        "restricted_satellite_ok": _boolean,
    }
)
_APNS = _object(
    {
        "headers": _apns_headers,
        "payload": _struct,
        "fcm_options": _OPTIONS,
        "live_activity_token": _text,
    }
)
_WEBPUSH = _object(
    {"headers": _text_map, "data": _data, "notification": _struct, "fcm_options": _struct}
)
_MESSAGE: Mapping[str, Check] = {
    "name": _text,
    "data": _data,
    "notification": _object({"title": _text, "body": _text, "image": _text}),
    "android": _ANDROID,
    "webpush": _WEBPUSH,
    "apns": _APNS,
    "fcm_options": _OPTIONS,
    "token": _text,
    "fid": _text,
    "topic": _matching(TOPIC, "is not the name of a topic"),
    "condition": _text,
}


def _message(path: str, value: dict[str, Any]) -> None:
    _fields(_MESSAGE, path, value)
    message = _snake_case(value)
    targets = [message[kind] for kind in TARGETS if kind in message]
    if len(targets) != 1 or not targets[0]:
        raise Refused(path, f"exactly one of {', '.join(TARGETS)} is required")
    payload = {name: part for name, part in message.items() if name not in TARGETS}
    size = len(json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode())
    if size > MAX_PAYLOAD_BYTES:
        raise Refused(path, f"payload of {size} bytes is over {MAX_PAYLOAD_BYTES}")
