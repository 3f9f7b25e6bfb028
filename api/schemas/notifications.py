"""Shapes of the inbox and of devices."""

from marshmallow import fields, validate

from api.schemas.base import Input, Moment, Output, string


class DevicePut(Input):
    platform = fields.String(required=True, validate=validate.OneOf(["android", "ios", "web"]))
    kind = fields.String(required=True, validate=validate.OneOf(["fid", "token"]))
    value = fields.String(
        required=True,
        # FCM's are some 200 characters; an index of the database takes no more than 2,700 bytes.
        validate=validate.Regexp(
            r"[\x21-\x7e]{8,1024}\Z", error="String does not match expected pattern."
        ),
        metadata={"minLength": 8, "maxLength": 1024},
    )
    app_version = string(1, 30, allow_none=True)
    locale = fields.String(validate=validate.OneOf(["vi", "en"]))


class SubjectOut(Output):
    type = fields.String(attribute="subject_type")
    id = fields.UUID(attribute="subject_id")


class LetterOut(Output):
    id = fields.UUID(metadata={"description": "The notification_id that its pushes carry."})
    kind = fields.String()
    title = fields.String()
    text = fields.String()
    subject = fields.Function(SubjectOut().dump)
    created_at = Moment()
    read_at = Moment(allow_none=True)


class UnreadOut(Output):
    unread = fields.Integer()
