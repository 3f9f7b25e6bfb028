"""Habits of every schema: unknown fields are refused, and types are meant literally."""

import datetime as dt
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from operator import attrgetter, itemgetter
from typing import Any

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
        plan = self._plan
        take = plan.take_items if isinstance(obj, dict) else plan.take_attributes
        shown = dict.fromkeys(plan.order)
        try:
            shown.update(zip(plan.names, take(obj), strict=True))
        except (AttributeError, KeyError):
            plan.take_one_by_one(obj, shown)
        for name, render in plan.rendered:
            if shown.get(name) is not None:
                shown[name] = render(shown[name])
        for name, compute in plan.computed:
            shown[name] = compute(obj)
        return shown

    @cached_property
    def _plan(self) -> "_Plan":
        return _Plan(self.dump_fields)


class Moment(fields.AwareDateTime):
    """A point in time: RFC 3339 with an offset coming in, in UTC with Z going out."""


# What orjson writes as marshmallow would.
_PLAIN = (fields.String, fields.UUID, fields.Boolean, fields.Integer, fields.Float, fields.Enum)


class _Plan:
    """How one schema renders, asked of its fields once.

    The values of `names` are taken from an object in one call; `rendered` says what becomes of
    some of them, and `computed` what is made of the whole object.
    """

    def __init__(self, shown: Mapping[str, fields.Field[Any]]) -> None:
        told = {field.data_key or name: (name, field) for name, field in shown.items()}
        self.order = list(told)
        # The mark of marshmallow's fields that are computed instead of taken.
        taken = {
            name: (field.attribute or attribute, field)
            for name, (attribute, field) in told.items()
            if field._CHECK_ATTRIBUTE  # noqa: SLF001
        }
        self.names = list(taken)
        self.rendered = [
            (name, render) for name, (_, field) in taken.items() if (render := _rendering(field))
        ]
        self.computed = [
            (name, _computation(field)) for name, (_, field) in told.items() if name not in taken
        ]
        self._taken = taken
        sources = [source for source, _ in taken.values()]
        self.take_attributes = _all_of(attrgetter, sources)
        self.take_items = _all_of(itemgetter, sources)

    def take_one_by_one(self, obj: Any, shown: dict[str, Any]) -> None:
        """The slow way, for an object that lacks something: what has no default is left out."""
        for name, (source, field) in self._taken.items():
            shown[name] = get_value(obj, source, field.dump_default)
            if shown[name] is missing:
                del shown[name]


def _all_of(getter: Callable[..., _Render], sources: list[str]) -> _Render:
    """A function that takes all `sources` as a tuple, also where there is one or none."""
    if len(sources) > 1:
        return getter(*sources)
    singles = [getter(source) for source in sources]
    return lambda obj: tuple(single(obj) for single in singles)


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


def flag(**options: Any) -> fields.Boolean:
    """True or false, not "yes" and not 1."""
    return fields.Boolean(truthy={True}, falsy={False}, **options)


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
