"""FastAPI, SQLAlchemy's asyncio sessions on asyncpg, uvicorn."""

import datetime as dt
import uuid
from collections.abc import AsyncIterator
from typing import Annotated, Any

import jwt
from fastapi import Depends, FastAPI, Header, HTTPException, Query
from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import joinedload, selectinload

from bench.peers import common
from bench.peers.common import InboxMessage, Report

engine = create_async_engine(
    common.DATABASE_URL.replace("postgresql://", "postgresql+asyncpg://", 1),
    pool_size=10,
    max_overflow=10,
    pool_pre_ping=True,
)
sessions = async_sessionmaker(engine, expire_on_commit=False)
app = FastAPI()


async def session() -> AsyncIterator[AsyncSession]:
    async with sessions() as opened:
        yield opened


async def citizen(authorization: Annotated[str, Header()] = "") -> uuid.UUID:
    try:
        return common.citizen_of(authorization)
    except jwt.InvalidTokenError as error:
        raise HTTPException(401) from error


Db = Annotated[AsyncSession, Depends(session)]
Me = Annotated[uuid.UUID, Depends(citizen)]
Limit = Annotated[int, Query(ge=1, le=100)]


class Ref(BaseModel):
    code: str
    name: str


class PublicReport(BaseModel):
    code: str
    state: str
    category: Ref
    place: Ref
    lat: float
    lng: float
    text: str
    created_at: dt.datetime
    resolved_at: dt.datetime | None


class PublicPage(BaseModel):
    items: list[PublicReport]
    next_cursor: str | None


class Photo(BaseModel):
    id: uuid.UUID
    state: str
    width: int | None
    height: int | None
    shows_result: bool
    urls: dict[str, str] | None


class Clock(BaseModel):
    level: str
    paused: bool


class OwnReport(BaseModel):
    id: uuid.UUID
    code: str
    state: str
    category: str
    description: str
    lat: float
    lng: float
    accuracy_m: float | None
    place: Ref
    address: str | None
    occurred_at: dt.datetime | None
    photos: list[Photo]
    visibility: str
    hide_reporter: bool
    created_at: dt.datetime
    acknowledge_due_at: dt.datetime
    resolve_due_at: dt.datetime
    resolved_at: dt.datetime | None
    clock: Clock
    department: Ref | None
    rating: int | None


class OwnPage(BaseModel):
    items: list[OwnReport]
    next_cursor: str | None


class Subject(BaseModel):
    type: str
    id: uuid.UUID


class Letter(BaseModel):
    id: uuid.UUID
    kind: str
    title: str
    text: str
    subject: Subject
    created_at: dt.datetime
    read_at: dt.datetime | None


class LetterPage(BaseModel):
    items: list[Letter]
    next_cursor: str | None


@app.get("/api/v1/public/reports")
async def public_reports(db: Db, limit: Limit = common.PAGE) -> PublicPage:
    rows = (
        await db.scalars(
            select(Report)
            .where(Report.visibility == "public")
            .options(joinedload(Report.category), joinedload(Report.place))
            .order_by(Report.id.desc())
            .limit(limit + 1)
        )
    ).all()
    items = [
        PublicReport(
            code=row.code,
            state=row.state,
            category=Ref(code=row.category.code, name=row.category.name_vi),
            place=Ref(code=row.place.code, name=row.place.full_name),
            lat=common.rounded(row.lat),
            lng=common.rounded(row.lng),
            text=row.public_text or "",
            created_at=row.created_at,
            resolved_at=row.resolved_at,
        )
        for row in rows[:limit]
    ]
    return PublicPage(items=items, next_cursor=_cursor("/public/reports", rows, limit))


@app.get("/api/v1/reports")
async def my_reports(db: Db, me: Me, limit: Limit = common.PAGE) -> OwnPage:
    rows = (
        await db.scalars(
            select(Report)
            .where(Report.reporter_id == me)
            .options(
                joinedload(Report.place),
                joinedload(Report.department),
                selectinload(Report.photos),
            )
            .order_by(Report.id.desc())
            .limit(limit + 1)
        )
    ).all()
    items = [
        OwnReport(
            id=row.id,
            code=row.code,
            state=row.state,
            category=row.category_code,
            description=row.description,
            lat=row.lat,
            lng=row.lng,
            accuracy_m=row.accuracy_m,
            place=Ref(code=row.place.code, name=row.place.full_name),
            address=row.address,
            occurred_at=row.occurred_at,
            photos=[
                Photo(
                    id=photo.id,
                    state=photo.state,
                    width=photo.width,
                    height=photo.height,
                    shows_result=photo.shows_result,
                    urls=common.urls(photo),
                )
                for photo in row.photos
                if photo.state != "rejected"
            ],
            visibility=row.visibility,
            hide_reporter=row.hide_reporter,
            created_at=row.created_at,
            acknowledge_due_at=row.acknowledge_due_at,
            resolve_due_at=row.resolve_due_at,
            resolved_at=row.resolved_at,
            clock=Clock(**common.clock(row)),
            department=row.department and Ref(code=row.department.code, name=row.department.name),
            rating=row.rating,
        )
        for row in rows[:limit]
    ]
    return OwnPage(items=items, next_cursor=_cursor("/reports", rows, limit))


@app.get("/api/v1/me/inbox")
async def inbox(db: Db, me: Me, limit: Limit = common.PAGE) -> LetterPage:
    rows = (
        await db.scalars(
            select(InboxMessage)
            .where(InboxMessage.citizen_id == me)
            .order_by(InboxMessage.id.desc())
            .limit(limit + 1)
        )
    ).all()
    items = []
    for row in rows[:limit]:
        text = common.words(row)
        items.append(
            Letter(
                id=row.id,
                kind=row.kind,
                title=text.title,
                text=text.text,
                subject=Subject(type=row.subject_type, id=row.subject_id),
                created_at=row.created_at,
                read_at=row.read_at,
            )
        )
    return LetterPage(items=items, next_cursor=_cursor("/me/inbox", rows, limit))


@app.get("/healthz")
async def healthz() -> dict[str, str]:
    return {"status": "ok"}


def _cursor(path: str, rows: Any, limit: int) -> str | None:
    return common.cursor(path, rows[limit - 1].id) if len(rows) > limit else None
