"""Shapes of the audit log, as citizens and auditors see it."""

from marshmallow import fields

from api.schemas.base import Moment, Output, PageQuery, Ref
from services.audit import Deed, Purpose


class OrganisationOut(Output):
    code = fields.String()
    name = fields.String(allow_none=True)


class AccessOut(Output):
    """One deed of staff or a facility with my personal data."""

    id = fields.UUID(metadata={"description": "Name it when you ask the authority about it."})
    at = Moment()
    action = fields.String(metadata={"examples": [Deed.REPORT_READ_REPORTER.value]})
    title = fields.String(metadata={"description": "The action in the reader's language."})
    role = fields.String(allow_none=True, metadata={"description": "In which role they acted."})
    organisation = Ref(
        OrganisationOut,
        "organisation",
        allow_none=True,
        metadata={"description": "null for those who act for the whole province."},
    )
    purpose = fields.String(allow_none=True, metadata={"examples": [*Purpose]})
    what = fields.List(fields.String(), metadata={"description": "Codes of what was read."})
    request_id = fields.String(allow_none=True)


class AuditQuery(PageQuery):
    action = fields.Enum(Deed, by_value=True)
    actor = fields.UUID(metadata={"description": "Id of a member of staff or of a citizen."})
    about = fields.UUID(metadata={"description": "Whose personal data was read or changed."})
    subject = fields.UUID(metadata={"description": "What was acted upon."})
    from_ = Moment(data_key="from", attribute="since")
    to = Moment(attribute="until", metadata={"description": "Not included."})


class AuditActorOut(Output):
    kind = fields.String(
        attribute="actor_kind", metadata={"description": "citizen, staff, facility or system"}
    )
    id = fields.UUID(attribute="actor_id", allow_none=True)
    name = fields.String(
        attribute="actor_name", allow_none=True, metadata={"description": "Of staff only."}
    )


class AuditSubjectOut(Output):
    type = fields.String(attribute="subject_type")
    id = fields.UUID(attribute="subject_id", allow_none=True)
    name = fields.String(
        attribute="subject_name", allow_none=True, metadata={"description": "Of staff only."}
    )


class AuditEventOut(Output):
    """One event of the audit log."""

    id = fields.UUID()
    at = Moment()
    action = fields.String()
    actor = fields.Function(AuditActorOut().dump)
    role = fields.String(allow_none=True)
    organisation = Ref(OrganisationOut, "organisation", allow_none=True)
    purpose = fields.String(allow_none=True)
    about = fields.UUID(
        attribute="about_id", allow_none=True, metadata={"description": "A citizen's id."}
    )
    subject = fields.Function(AuditSubjectOut().dump)
    detail = fields.Dict(metadata={"description": "Codes, ids and numbers."})
    request_id = fields.String(allow_none=True)
    position = fields.Integer(
        allow_none=True, metadata={"description": "In the chain; null until it is chained."}
    )
