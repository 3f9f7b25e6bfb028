"""Shapes of signing in and of the person signed in."""

from marshmallow import fields, validate

from api.schemas.base import Input, Moment, Output, string
from models import Audience


class DeviceIn(Input):
    installation_id = string(
        22,
        128,
        required=True,
        metadata={"description": "Random, at least 128 bits; kept by the app, never shown back."},
    )
    platform = fields.String(required=True, validate=validate.OneOf(["android", "ios", "web"]))
    model = string(1, 100, allow_none=True)
    app_version = string(1, 30, allow_none=True)


class LoginIn(Input):
    code = string(1, 2048, required=True)
    code_verifier = string(43, 128, required=True, metadata={"description": "RFC 7636"})
    nonce = string(8, 255, required=True)
    redirect_uri = string(1, 2048, required=True)
    audience = fields.Enum(Audience, by_value=True, load_default=Audience.CITIZEN)
    device = fields.Nested(DeviceIn, required=True)


class RefreshIn(Input):
    refresh_token = string(1, 512, required=True)


class SignedInOut(Output):
    id = fields.UUID(attribute="citizen.id")
    name = fields.String(attribute="citizen.name")
    acr = fields.String()
    roles = fields.List(fields.String())


class TokensOut(Output):
    access_token = fields.String()
    token_type = fields.Constant("Bearer")
    expires_in = fields.Integer(metadata={"description": "seconds"})
    refresh_token = fields.String()
    refresh_expires_in = fields.Integer(metadata={"description": "seconds"})


class LoginOut(TokensOut):
    citizen = fields.Method("person")

    def person(self, pair: object) -> object:
        return SignedInOut().dump(pair)


class AuthConfigOut(Output):
    issuer = fields.String()
    client_id = fields.String()
    scopes = fields.List(fields.String())
    redirect_uris = fields.List(fields.String())
    acr_values = fields.List(fields.String())


class SessionPatch(Input):
    name = string(1, 60, required=True, allow_none=True)


class SessionOut(Output):
    id = fields.UUID()
    name = fields.String(allow_none=True, metadata={"description": "Its owner's own word for it."})
    audience = fields.Enum(Audience, by_value=True)
    platform = fields.String()
    model = fields.String(allow_none=True)
    app_version = fields.String(allow_none=True)
    created_at = Moment()
    last_used_at = Moment()
    current = fields.Boolean(metadata={"description": "The one that asks."})


class SessionsOut(Output):
    items = fields.List(fields.Nested(SessionOut))


class MeIn(Input):
    phone = string(8, 20, allow_none=True, metadata={"description": "A Vietnamese number."})
    locale = fields.String(validate=validate.OneOf(["vi", "en"]))
    home_place = fields.String(allow_none=True, validate=validate.Length(5, 5))


class MeOut(Output):
    id = fields.UUID()
    name = fields.String()
    phone = fields.String(allow_none=True, metadata={"description": "E.164"})
    locale = fields.String()
    home_place = fields.String(attribute="home_place_code", allow_none=True)
    acr = fields.String()
    deletion_due_at = Moment(
        allow_none=True, metadata={"description": "When the account is to be erased."}
    )
