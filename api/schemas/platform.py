"""Shapes of what the app asks before it starts."""

from marshmallow import fields

from api.schemas.base import Output


class LimitsOut(Output):
    photos_per_report = fields.Integer()
    photo_bytes = fields.Integer()
    photo_megapixels = fields.Integer()
    photo_types = fields.List(fields.String())
    description_characters = fields.Integer()


class ConfigOut(Output):
    limits = fields.Nested(LimitsOut)
    categories_version = fields.String()
    emergency_numbers = fields.Dict(keys=fields.String(), values=fields.String())
