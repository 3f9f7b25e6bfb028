"""Shapes of consents, legal requests and children."""

from marshmallow import fields, validate

from api.schemas.base import Input, Moment, Output, flag, string
from models import ChildState, DataRequestKind, DataRequestState, Relation
from services.privacy.desk import REFUSALS


class ConsentIn(Input):
    granted = flag(required=True)
    version = fields.Integer(
        required=True,
        strict=True,
        validate=validate.Range(1, 9999),
        metadata={"description": "Of the text that was shown."},
    )


class ConsentEventOut(Output):
    version = fields.Integer()
    channel = fields.String()
    given_at = Moment()
    withdrawn_at = Moment(allow_none=True)


class ConsentOut(Output):
    purpose = fields.String()
    version = fields.Integer(metadata={"description": "Of this text."})
    title = fields.String()
    text = fields.String(metadata={"description": "In the language of this answer."})
    granted = fields.Boolean(metadata={"description": "To this version of the text."})
    since = Moment(allow_none=True)
    channel = fields.String(allow_none=True)
    history = fields.List(
        fields.Nested(ConsentEventOut), metadata={"description": "Newest first, 20 at most."}
    )


class ConsentsOut(Output):
    items = fields.List(fields.Nested(ConsentOut))


class DataRequestIn(Input):
    kind = fields.Enum(DataRequestKind, by_value=True, required=True)
    text = string(
        1, 4000, allow_none=True, metadata={"description": "Compulsory for a correction."}
    )
    child_id = fields.UUID(
        allow_none=True,
        metadata={"description": "For a child whom I was confirmed to act for."},
    )


class DataRequestOut(Output):
    id = fields.UUID()
    kind = fields.Enum(DataRequestKind, by_value=True)
    state = fields.Enum(DataRequestState, by_value=True)
    text = fields.String(allow_none=True)
    child_id = fields.UUID(allow_none=True)
    received_at = Moment()
    answer_due_at = Moment()
    act_due_at = Moment()
    third_party = fields.Boolean(metadata={"description": "Somebody else has to act too."})
    extended_at = Moment(allow_none=True)
    extension = fields.String(allow_none=True, metadata={"description": "Why it takes longer."})
    answered_at = Moment(allow_none=True)
    answer = fields.String(allow_none=True)
    refusal = fields.String(
        allow_none=True,
        validate=validate.OneOf([*REFUSALS, None]),
        metadata={"description": "The ground of a refusal."},
    )
    done_at = Moment(allow_none=True)
    conclusion = fields.String(allow_none=True, metadata={"description": "What was done."})


class ChildIn(Input):
    full_name = string(1, 100, required=True)
    citizen_number = fields.String(
        required=True,
        validate=validate.Regexp(r"[0-9]{12}\Z", error="String does not match expected pattern."),
        metadata={"minLength": 12, "maxLength": 12},
    )
    birth_date = fields.Date(required=True)
    relation = fields.Enum(Relation, by_value=True, required=True)


class ChildOut(Output):
    id = fields.UUID()
    full_name = fields.String(allow_none=True)
    citizen_number = fields.String(
        allow_none=True, metadata={"description": "Masked: 019*****0017."}
    )
    birth_date = fields.Date(allow_none=True, metadata={"description": "At level 2 only."})
    relation = fields.Enum(Relation, by_value=True)
    state = fields.Enum(ChildState, by_value=True)
    acts = fields.Boolean(
        metadata={"description": "Whether I act for the child today: confirmed, and under 16."}
    )
    ends_on = fields.Date(
        allow_none=True, metadata={"description": "The sixteenth birthday; at level 2 only."}
    )
    refusal = fields.String(allow_none=True)
    created_at = Moment()
    decided_at = Moment(allow_none=True)


class ChildrenOut(Output):
    items = fields.List(fields.Nested(ChildOut))
