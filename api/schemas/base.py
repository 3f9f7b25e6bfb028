"""Habits of every schema: unknown fields are refused, and types are meant literally."""

import datetime as dt
from typing import Any

from marshmallow import RAISE, Schema, fields, validate


class Input(Schema):
    """What a client sends."""

    class Meta:
        unknown = RAISE


class Output(Schema):
    """What a client gets; built from a row, never from what was sent."""


class Moment(fields.AwareDateTime):
    """A point in time: RFC 3339 with an offset coming in, in UTC with Z going out."""

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        text = super()._serialize(value and value.astimezone(dt.UTC), attr, obj, **kwargs)
        return text and str(text).replace("+00:00", "Z")


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
