"""Shapes of members of staff and their roles; a citizen number goes in and never out."""

from marshmallow import fields, validate

from api.schemas.base import Input, Moment, Output, PageQuery, flag, string
from models import Role

MAX_ROLES = 40
# There are 92 communes.
MAX_PLACES = 100


class RoleIn(Input):
    role = fields.Enum(Role, by_value=True, required=True)
    department = string(1, 60, allow_none=True)
    places = fields.List(
        string(5, 5),
        allow_none=True,
        validate=validate.Length(1, MAX_PLACES),
        metadata={"description": "Communes; without them the role holds everywhere."},
    )


class PersonIn(Input):
    citizen_number = fields.String(
        required=True,
        validate=[
            validate.Length(12, 12),
            validate.Regexp("^[0-9]{12}$", error="String does not match expected pattern."),
        ],
    )
    name = string(1, 100, required=True)
    roles = fields.List(
        fields.Nested(RoleIn), required=True, validate=validate.Length(1, MAX_ROLES)
    )


class PersonPatch(Input):
    name = string(1, 100)
    roles = fields.List(
        fields.Nested(RoleIn),
        validate=validate.Length(0, MAX_ROLES),
        metadata={"description": "All that the person is to have."},
    )
    disabled = flag()


class PeopleQuery(PageQuery):
    department = fields.String()
    disabled = fields.Boolean(
        truthy={"true"},
        falsy={"false"},
        metadata={"description": "Only those, or only the others."},
    )


class RoleOut(Output):
    role = fields.Enum(Role, by_value=True)
    department = fields.String(attribute="department_code", allow_none=True)
    places = fields.List(fields.String(), attribute="place_codes", allow_none=True)


class PersonOut(Output):
    id = fields.UUID()
    name = fields.String()
    roles = fields.List(fields.Nested(RoleOut), attribute="grants")
    has_entered = fields.Function(
        lambda staff: staff.citizen_id is not None,
        metadata={"type": "boolean", "description": "Whether they ever signed in here."},
    )
    disabled_at = Moment(allow_none=True)
    created_at = Moment()
