"""Shapes of what somebody asks about their own data."""

from marshmallow import fields, validate

from api.schemas.base import Input, Moment, Output


class ExportQuery(Input):
    part = fields.Integer(
        strict=False,
        load_default=1,
        validate=validate.Range(1, 100_000),
        metadata={"description": "Which part of an export that comes in several."},
    )


class PreparingOut(Output):
    """An export is being made; the inbox tells when it is ready."""

    state = fields.Constant("preparing")
    location = fields.String(metadata={"description": "Where it will be."})


class DeletionOut(Output):
    due_at = Moment(metadata={"description": "Until then it can be undone."})
