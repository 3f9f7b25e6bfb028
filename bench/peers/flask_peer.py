"""Flask as it is usually written: Flask-SQLAlchemy, marshmallow, gunicorn with threads."""

import uuid
from typing import Any

import jwt
from flask import Flask, abort, jsonify, request
from flask_sqlalchemy import SQLAlchemy
from marshmallow import Schema, fields, validate
from sqlalchemy import select
from sqlalchemy.orm import joinedload, selectinload

from bench.peers import common
from bench.peers.common import InboxMessage, Report

app = Flask("flask_peer")
app.config["SQLALCHEMY_DATABASE_URI"] = common.DATABASE_URL.replace(
    "postgresql://", "postgresql+psycopg://", 1
)
app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"pool_size": 10, "pool_pre_ping": True}
db = SQLAlchemy(app)


class Query(Schema):
    limit = fields.Integer(load_default=common.PAGE, validate=validate.Range(1, 100))


class Category(Schema):
    code = fields.String()
    name = fields.String(attribute="name_vi")


class Place(Schema):
    code = fields.String()
    name = fields.String(attribute="full_name")


class Department(Schema):
    code = fields.String()
    name = fields.String()


class PublicReport(Schema):
    code = fields.String()
    state = fields.String()
    category = fields.Nested(Category)
    place = fields.Nested(Place)
    lat = fields.Function(lambda report: common.rounded(report.lat))
    lng = fields.Function(lambda report: common.rounded(report.lng))
    text = fields.String(attribute="public_text")
    created_at = fields.AwareDateTime()
    resolved_at = fields.AwareDateTime()


class Photo(Schema):
    id = fields.UUID()
    state = fields.String()
    width = fields.Integer()
    height = fields.Integer()
    shows_result = fields.Boolean()
    urls = fields.Function(common.urls)


class OwnReport(Schema):
    id = fields.UUID()
    code = fields.String()
    state = fields.String()
    category = fields.String(attribute="category_code")
    description = fields.String()
    lat = fields.Float()
    lng = fields.Float()
    accuracy_m = fields.Float()
    place = fields.Nested(Place)
    address = fields.String()
    occurred_at = fields.AwareDateTime()
    photos = fields.Nested(Photo, many=True)
    visibility = fields.String()
    hide_reporter = fields.Boolean()
    created_at = fields.AwareDateTime()
    acknowledge_due_at = fields.AwareDateTime()
    resolve_due_at = fields.AwareDateTime()
    resolved_at = fields.AwareDateTime()
    clock = fields.Function(common.clock)
    department = fields.Nested(Department)
    rating = fields.Integer()


class Letter(Schema):
    id = fields.UUID()
    kind = fields.String()
    title = fields.Function(lambda message: common.words(message).title)
    text = fields.Function(lambda message: common.words(message).text)
    subject = fields.Function(
        lambda message: {"type": message.subject_type, "id": str(message.subject_id)}
    )
    created_at = fields.AwareDateTime()
    read_at = fields.AwareDateTime()


query = Query()
public_report, own_report, letter = (
    PublicReport(many=True),
    OwnReport(many=True),
    Letter(many=True),
)


@app.get("/api/v1/public/reports")
def public_reports() -> Any:
    limit = query.load(request.args)["limit"]
    rows = db.session.scalars(
        select(Report)
        .where(Report.visibility == "public")
        .options(joinedload(Report.category), joinedload(Report.place))
        .order_by(Report.id.desc())
        .limit(limit + 1)
    ).all()
    return _page("/public/reports", public_report, rows, limit)


@app.get("/api/v1/reports")
def my_reports() -> Any:
    me = _citizen()
    limit = query.load(request.args)["limit"]
    rows = db.session.scalars(
        select(Report)
        .where(Report.reporter_id == me)
        .options(
            joinedload(Report.place),
            joinedload(Report.department),
            selectinload(Report.photos.and_(common.Upload.state != "rejected")),
        )
        .order_by(Report.id.desc())
        .limit(limit + 1)
    ).all()
    return _page("/reports", own_report, rows, limit)


@app.get("/api/v1/me/inbox")
def inbox() -> Any:
    me = _citizen()
    limit = query.load(request.args)["limit"]
    rows = db.session.scalars(
        select(InboxMessage)
        .where(InboxMessage.citizen_id == me)
        .order_by(InboxMessage.id.desc())
        .limit(limit + 1)
    ).all()
    return _page("/me/inbox", letter, rows, limit)


@app.get("/healthz")
def healthz() -> Any:
    return {"status": "ok"}


def _citizen() -> uuid.UUID:
    try:
        return common.citizen_of(request.headers.get("Authorization", ""))
    except jwt.InvalidTokenError:
        abort(401)


def _page(path: str, schema: Schema, rows: Any, limit: int) -> Any:
    cursor = common.cursor(path, rows[limit - 1].id) if len(rows) > limit else None
    return jsonify({"items": schema.dump(rows[:limit]), "next_cursor": cursor})
