"""Habits of every schema: unknown fields are refused, and types are meant literally."""

import datetime as dt
from collections.abc import Callable
from functools import cached_property, partial
from operator import attrgetter, itemgetter
from typing import Any, cast

from marshmallow import RAISE, Schema, fields, missing, validate
from marshmallow.utils import get_value

_Render = Callable[[Any], Any]


class Input(Schema):
    """What a client sends."""

    class Meta:
        unknown = RAISE


class Output(Schema):
    """What a client gets; built from a row, never from what was sent.

    Lists of reports are most of this system's work, and marshmallow's own `dump` is most of the
    work of a list. This one asks each field once how it renders, and leaves times, UUIDs and
    enumerations to api.json, which writes them at C speed. Fields of other kinds render as
    marshmallow would; hooks of the schema (`post_dump` and the like) are not called.
    """

    def dump(self, obj: Any, *, many: bool | None = None) -> Any:
        """`obj` as a dict, or a list of dicts; a value may be a datetime, a UUID or an Enum."""
        many = self.many if many is None else many
        return [self._one(each) for each in obj] if many else self._one(obj)

    def _one(self, obj: Any) -> dict[str, Any]:
        steps = self._of_items if isinstance(obj, dict) else self._of_attributes
        try:
            return {name: take(obj) for name, take in steps}
        except (AttributeError, KeyError):
            return self._what_there_is(obj)

    def _what_there_is(self, obj: Any) -> dict[str, Any]:
        """The slow way, for an object that lacks something: what has no default is left out."""
        found = ((name, _or_default(obj, field)) for name, field in self._shown)
        return {name: value for name, value in found if value is not missing}

    @cached_property
    def _shown(self) -> list[tuple[str, fields.Field[Any]]]:
        return [(field.data_key or name, field) for name, field in self.dump_fields.items()]

    @cached_property
    def _of_attributes(self) -> list[tuple[str, _Render]]:
        return [(name, _taking(field, attrgetter)) for name, field in self._shown]

    @cached_property
    def _of_items(self) -> list[tuple[str, _Render]]:
        return [(name, _taking(field, itemgetter)) for name, field in self._shown]


class Moment(fields.AwareDateTime):
    """A point in time: RFC 3339 with an offset coming in, in UTC with Z going out."""


# What orjson writes as marshmallow would.
_PLAIN = (fields.String, fields.UUID, fields.Boolean, fields.Integer, fields.Float, fields.Enum)


def _source(field: fields.Field[Any]) -> str:
    return field.attribute or cast("str", field.name)


def _taking(field: fields.Field[Any], getter: Callable[[str], _Render]) -> _Render:
    """A function of the object that gives what is shown of it in this field."""
    if not field._CHECK_ATTRIBUTE:  # noqa: SLF001 - marshmallow's mark of what is computed
        return _computation(field)
    take, render = getter(_source(field)), _rendering(field)
    if render is None:
        return take

    def taken(obj: Any) -> Any:
        value = take(obj)
        return None if value is None else render(value)

    return taken


def _or_default(obj: Any, field: fields.Field[Any]) -> Any:
    if not field._CHECK_ATTRIBUTE:  # noqa: SLF001 - as above
        return _computation(field)(obj)
    value = get_value(obj, _source(field), field.dump_default)
    render = _rendering(field)
    return value if value is missing or value is None or render is None else render(value)


def _computation(field: fields.Field[Any]) -> _Render:
    if isinstance(field, fields.Function) and field.serialize_func:
        return field.serialize_func
    return partial(field._serialize, None, field.name)  # noqa: SLF001 - what fields override


def _rendering(field: fields.Field[Any]) -> _Render | None:
    if isinstance(field, Moment):
        return in_utc
    if isinstance(field, fields.Nested):
        return field.schema.dump
    if isinstance(field, fields.List):
        inner = _rendering(field.inner)
        return list if inner is None else lambda values: [inner(value) for value in values]
    if type(field) in _PLAIN:
        return None
    return lambda value: field._serialize(value, None, None)  # noqa: SLF001 - what fields override


def in_utc(moment: dt.datetime) -> dt.datetime:
    return moment.astimezone(dt.UTC)


class Ref(fields.Nested):
    """What a row names by two of its columns: PREFIX_code and PREFIX_name; null without a code."""

    _CHECK_ATTRIBUTE = False

    def __init__(self, schema: type[Schema], prefix: str, **options: Any) -> None:
        super().__init__(schema, **options)
        self._take = attrgetter(f"{prefix}_code", f"{prefix}_name")

    def _serialize(self, value: Any, attr: str | None, obj: Any, **_options: Any) -> Any:  # noqa: ARG002
        code, name = self._take(obj)
        return None if code is None else {"code": code, "name": name}


def string(low: int, high: int, **options: Any) -> fields.String:
    """A string whose length in characters lies between `low` and `high`."""
    return fields.String(validate=validate.Length(low, high), **options)


class Flag(fields.Boolean):
    """A JSON boolean; "yes" is none, nor is 1, which Python takes for equal to True."""

    def _deserialize(self, value: Any, *_where: Any, **_options: Any) -> bool:
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return value


def flag(**options: Any) -> fields.Boolean:
    return Flag(**options)


class Number(fields.Float):
    """A JSON number; "21.5" and true are none."""

    def _validated(self, value: Any) -> float:
        if isinstance(value, (str, bool)):
            raise self.make_error("invalid", input=value)
        return float(super()._validated(value))


def number(low: float, high: float, **options: Any) -> fields.Float:
    return Number(validate=validate.Range(low, high), allow_nan=False, **options)


def degrees(limit: int, kind: type[fields.Float] = Number) -> fields.Float:
    """A latitude (90) or longitude (180); in a query every number comes as text."""
    return kind(
        required=True,
        validate=validate.Range(-limit, limit),
        allow_nan=False,
        metadata={"description": "WGS84, degrees"},
    )


class PageQuery(Schema):
    """Which part of a list."""

    limit = fields.Integer(strict=False, load_default=20, validate=validate.Range(1, 100))
    cursor = fields.String(load_default=None, metadata={"description": "A former next_cursor."})


def page_of(item: type[Schema]) -> Schema:
    """The schema of one page of `item`."""
    return Output.from_dict(
        {
            "items": fields.List(fields.Nested(item)),
            "next_cursor": fields.String(
                allow_none=True, metadata={"description": "null on the last page"}
            ),
        },
        name=item.__name__.removesuffix("Out") + "Page",
    )()
