"""Shapes of reports, as citizens, the public and staff see them."""

from marshmallow import fields, validate

from api import files
from api.current import current
from api.schemas.base import (
    Input,
    Moment,
    Output,
    PageQuery,
    Ref,
    degrees,
    flag,
    number,
    string,
)
from api.schemas.places import PlaceRef
from models import ReportState, Visibility
from services import feedback, uploads
from services.feedback.transitions import REJECTION_REASONS


class CategoryOut(Output):
    code = fields.String()
    name = fields.Dict(keys=fields.String(), values=fields.String())
    acknowledge_hours = fields.Integer(metadata={"description": "working hours"})
    resolve_days = fields.Integer(metadata={"description": "working days"})


class CategoriesOut(Output):
    items = fields.List(fields.Nested(CategoryOut))


class CategoryRef(Output):
    code = fields.String()
    name = fields.String(attribute="name_vi")


class DepartmentRef(Output):
    code = fields.String()
    name = fields.String()


class DepartmentsOut(Output):
    items = fields.List(fields.Nested(DepartmentRef))


class UploadIn(Input):
    file = fields.Raw(required=True, metadata={"type": "string", "format": "binary"})


class UrlsOut(Output):
    thumb = fields.String()
    full = fields.String()


class PhotoOut(Output):
    id = fields.UUID()
    state = fields.String(metadata={"description": "processing, ready or rejected"})
    width = fields.Integer(allow_none=True)
    height = fields.Integer(allow_none=True)
    shows_result = fields.Boolean()
    urls = fields.Nested(UrlsOut, allow_none=True)


class UploadOut(PhotoOut):
    reason = fields.String(allow_none=True)

    class Meta:
        exclude = ("shows_result",)


class ClockOut(Output):
    level = fields.String(metadata={"description": "on_time, due_soon, late, very_late or stopped"})
    paused = fields.Boolean()


# Made once: making a schema costs more than using it.
_PHOTOS, _CLOCK = PhotoOut(many=True), ClockOut()


class EventOut(Output):
    at = Moment()
    kind = fields.String()
    by = fields.String(attribute="actor_kind", metadata={"description": "citizen, staff or system"})
    from_ = fields.String(attribute="from_state", data_key="from", allow_none=True)
    to = fields.String(attribute="to_state", allow_none=True)
    text = fields.String(allow_none=True)
    reason = fields.String(allow_none=True)


class ReportIn(Input):
    category = string(1, 60, required=True)
    description = fields.String(
        required=True,
        validate=[
            validate.Length(1, 4000),
            validate.Regexp(r"(?s).*\S", error="String does not match expected pattern."),
        ],
    )
    lat = degrees(90)
    lng = degrees(180)
    accuracy_m = number(0, 100_000, allow_none=True)
    place_code = fields.String(allow_none=True, validate=validate.Length(5, 5))
    address = string(1, 500, allow_none=True)
    occurred_at = Moment(allow_none=True)
    upload_ids = fields.List(
        fields.UUID(), validate=validate.Length(0, uploads.PER_REPORT), load_default=list
    )
    hide_reporter = flag(load_default=False)


class ReportOut(Output):
    """A report as its reporter sees it."""

    id = fields.UUID()
    code = fields.String()
    state = fields.Enum(ReportState, by_value=True)
    category = fields.String(attribute="category_code")
    description = fields.String()
    lat = fields.Float()
    lng = fields.Float()
    accuracy_m = fields.Float(allow_none=True)
    place = Ref(PlaceRef, "place")
    address = fields.String(allow_none=True)
    occurred_at = Moment(allow_none=True)
    photos = fields.Function(
        lambda report: _PHOTOS.dump([files.view(photo) for photo in report.photos])
    )
    visibility = fields.Enum(Visibility, by_value=True)
    hide_reporter = fields.Boolean()
    created_at = Moment()
    acknowledge_due_at = Moment()
    resolve_due_at = Moment()
    resolved_at = Moment(allow_none=True)
    clock = fields.Function(lambda report: _CLOCK.dump(feedback.clock(report, at=current.now())))
    department = Ref(DepartmentRef, "department", allow_none=True)
    rating = fields.Integer(allow_none=True)


class ReportDetailOut(ReportOut):
    """The same with its history."""

    timeline = fields.List(fields.Nested(EventOut))


class RatingIn(Input):
    score = fields.Integer(required=True, strict=True, validate=validate.Range(1, 5))
    text = string(1, 2000, allow_none=True)


class ReopeningIn(Input):
    reason = string(1, 2000, required=True)
    upload_ids = fields.List(
        fields.UUID(), validate=validate.Length(0, uploads.PER_REPORT), load_default=list
    )


GRANTED = "Null until the appeal is answered."
LIFTED = (
    "When the pause was ended early; later than `until` where an appeal was granted after the "
    "pause had run out."
)


class PauseFacts(Output):
    """What both sides see of a pause."""

    id = fields.UUID()
    reason = fields.String()
    since = Moment(attribute="created_at")
    until = Moment()
    lifted_at = Moment(allow_none=True, metadata={"description": LIFTED})
    lift_reason = fields.String(allow_none=True)
    appealed_at = Moment(allow_none=True)
    appeal = fields.String(allow_none=True)
    answered_at = Moment(allow_none=True)
    answer = fields.String(allow_none=True)
    appeal_granted = fields.Boolean(allow_none=True, metadata={"description": GRANTED})


class PauseOut(PauseFacts):
    """For so long I can send no reports, and what became of it."""

    report_id = fields.UUID(metadata={"description": "Because of this report of mine."})


class AppealIn(Input):
    text = string(1, 1000, required=True)


class StaffPauseOut(PauseFacts):
    """A pause as those see it who may end it; who has to pause is not told."""

    report_code = fields.String(attribute="report.code")
    blocked_by = fields.String(attribute="blocked_by.name")


class PauseReasonIn(Input):
    reason = string(
        1, 1000, required=True, metadata={"description": "The person who has to pause reads it."}
    )


class AppealAnswerIn(PauseReasonIn):
    granted = fields.Boolean(load_default=False)


class PublicQuery(PageQuery):
    category = fields.String()
    place = fields.String()


class PublicReportOut(Output):
    """A published report: nothing of the reporter, the place to about 50 metres."""

    code = fields.String()
    state = fields.Enum(ReportState, by_value=True)
    category = Ref(CategoryRef, "category")
    place = Ref(PlaceRef, "place")
    lat = fields.Float()
    lng = fields.Float()
    text = fields.String(attribute="public_text")
    created_at = Moment()
    resolved_at = Moment(allow_none=True)


class QueueQuery(PageQuery):
    state = fields.List(fields.Enum(ReportState, by_value=True), load_default=list)
    department = fields.String()
    category = fields.String()
    place = fields.String()
    code = fields.String()


class StaffReportOut(ReportOut):
    """A report as staff see it in a list."""

    public_text = fields.String(allow_none=True)
    place_uncertain = fields.Boolean()
    assignee = fields.String(attribute="assignee.name", dump_default=None, allow_none=True)
    reopened_count = fields.Integer()


class StaffReportDetailOut(StaffReportOut):
    """The same with its history, as far as the reader's role goes."""

    timeline = fields.List(fields.Nested(EventOut))


class ReportPatch(Input):
    category = string(1, 60)
    visibility = fields.Enum(Visibility, by_value=True)
    public_text = string(1, 4000, allow_none=True)


class TransitionIn(Input):
    to = fields.Enum(ReportState, by_value=True, required=True)
    department = string(1, 60, allow_none=True)
    category = string(1, 60, allow_none=True)
    text = string(1, 4000, allow_none=True)
    reason = string(
        1,
        2000,
        allow_none=True,
        metadata={"description": f"For rejected one of: {', '.join(REJECTION_REASONS)}."},
    )
    upload_ids = fields.List(
        fields.UUID(), validate=validate.Length(0, uploads.PER_REPORT), load_default=list
    )
