"""Reading what was typed: forms, and the filters of the queue in an address."""

import datetime as dt
import enum
import uuid
from typing import TypeVar

from flask import request

from api.json import Malformed, check_text
from models import ReportState
from services.calendar import ZONE
from services.errors import BadRequest, Invalid
from services.feedback import OPEN_STATES, QueueFilter

Choice = TypeVar("Choice", bound=enum.StrEnum)

EVERY_STATE = "all"


class TextTooLong(Invalid):
    """At most {limit} characters."""

    vi = "Nội dung dài quá {limit} ký tự. Vui lòng rút gọn."


class FormMalformed(BadRequest):
    """The form is not one of ours."""

    vi = "Biểu mẫu không đúng dạng. Hãy tải lại trang rồi gửi lại."


def text(name: str, *, limit: int) -> str | None:
    """A field of the form, None when it is blank; lines end as everywhere but in forms.

    Raises:
        TextTooLong, FormMalformed
    """
    value = request.form.get(name, "").replace("\r\n", "\n").strip()
    try:
        check_text(value)
    except Malformed as error:
        raise FormMalformed from error
    if len(value) > limit:
        raise TextTooLong(limit=limit)
    return value or None


def moment(name: str) -> dt.datetime | None:
    """A date and time as clocks here show them, None when it is blank.

    Raises:
        FormMalformed
    """
    value = request.form.get(name, "").strip()
    if not value:
        return None
    try:
        typed = dt.datetime.fromisoformat(value)
        if typed.tzinfo is not None:
            raise FormMalformed
        return typed.replace(tzinfo=ZONE).astimezone(dt.UTC)
    except (ValueError, OverflowError) as error:
        raise FormMalformed from error


def whole(name: str, *, limit: int) -> int | None:
    """A whole number from 0 to `limit`, None when it is blank.

    Raises:
        FormMalformed
    """
    value = request.form.get(name, "").strip()
    if not value:
        return None
    if not (value.isascii() and value.isdecimal() and len(value) <= len(str(limit))):
        raise FormMalformed
    number = int(value)
    if number > limit:
        raise FormMalformed
    return number


def version() -> int:
    """The version of the thing that the form was made from.

    Raises:
        FormMalformed
    """
    value = request.form.get("version", "")
    if not (value.isascii() and value.isdecimal() and len(value) < 10):  # noqa: PLR2004 - int4
        raise FormMalformed
    return int(value)


def chosen(name: str, *, limit: int, most: int) -> list[str]:
    """What was ticked; nothing is an empty list.

    Raises:
        FormMalformed
    """
    values = request.form.getlist(name)
    if len(values) > most or any(len(value) > limit or not value.isalnum() for value in values):
        raise FormMalformed
    return values


def typed() -> dict[str, str]:
    """The form as it came, to show it again."""
    return {name: value for name, value in request.form.items() if name != "csrf"}


def queue_filter() -> QueueFilter:
    """The filter in the address; without a state the open reports are meant.

    Raises:
        BadRequest
    """
    state = request.args.get("state", "")
    if state not in {"", EVERY_STATE, *ReportState}:
        raise BadRequest
    states = {"": sorted(OPEN_STATES), EVERY_STATE: ()}.get(state)
    return QueueFilter(
        states=[ReportState(state)] if states is None else states,
        department=request.args.get("department") or None,
        category=request.args.get("category") or None,
        place=request.args.get("place") or None,
        code=request.args.get("code") or None,
    )


def an_id(name: str) -> uuid.UUID | None:
    """An id in the address.

    Raises:
        BadRequest
    """
    value = request.args.get(name)
    if not value:
        return None
    try:
        return uuid.UUID(value)
    except ValueError as error:
        raise BadRequest from error


def one_of(name: str, choices: type[Choice]) -> Choice | None:
    """What was chosen in a list.

    Raises:
        BadRequest
    """
    value = request.args.get(name)
    if not value:
        return None
    try:
        return choices(value)
    except ValueError as error:
        raise BadRequest from error


def days(first: str, last: str) -> tuple[dt.datetime | None, dt.datetime | None]:
    """The moments in which the first day begins and the last one ends, as clocks here show them.

    Raises:
        BadRequest
    """
    values = request.args.get(first), request.args.get(last)
    try:
        begin, end = (dt.date.fromisoformat(value) if value else None for value in values)
        return begin and _midnight(begin), end and _midnight(end + dt.timedelta(days=1))
    except (ValueError, OverflowError) as error:
        raise BadRequest from error


def _midnight(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), ZONE).astimezone(dt.UTC)
