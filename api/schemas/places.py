"""Shapes of administrative units."""

from marshmallow import fields, validate

from api.schemas.base import Input, Output, degrees


class PlaceQuery(Input):
    level = fields.Integer(validate=validate.OneOf([1, 2]))
    q = fields.String(load_default="", validate=validate.Length(0, 100))


class PlaceRef(Output):
    code = fields.String()
    name = fields.String(attribute="full_name")


class PlaceOut(Output):
    code = fields.String()
    name = fields.String(attribute="full_name")
    short_name = fields.String(attribute="name")
    kind = fields.String(metadata={"description": "tinh, phuong or xa"})
    level = fields.Integer()


class PlacesOut(Output):
    items = fields.List(fields.Nested(PlaceOut))


class PointQuery(Input):
    lat = degrees(90, fields.Float)
    lng = degrees(180, fields.Float)


class ResolutionOut(Output):
    place = fields.Nested(PlaceRef, allow_none=True)
    confidence = fields.String(metadata={"description": "exact, approximate or outside"})
    candidates = fields.List(fields.Nested(PlaceRef))
    distance_m = fields.Integer()


class LegacyOut(Output):
    code = fields.String(attribute="legacy.code")
    name = fields.String(attribute="legacy.full_name")
    district = fields.String(attribute="legacy.district")
    province = fields.String(attribute="legacy.province")
    successors = fields.List(fields.Nested(PlaceRef))
