"""Limits that guard people, kept in PostgreSQL so that they hold across processes."""

import datetime as dt

from sqlalchemy import case
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models import RateLimit
from services.errors import TooMany


class RateLimited(TooMany):
    """Too many attempts: at most {limit} in {window_s} seconds. Please wait {retry_after_s} s."""

    vi = "Quá {limit} lần trong {window_s} giây. Vui lòng chờ {retry_after_s} giây."


def take(
    session: Session, bucket: str, *, limit: int, window: dt.timedelta, at: dt.datetime
) -> None:
    """Count one use of `bucket`, in one statement.

    Commit it in a transaction of its own before the guarded work where failures count too.

    Raises:
        RateLimited: when `limit` uses were counted in this window already.
    """
    fresh = RateLimit.window_ends_at <= at
    statement = (
        insert(RateLimit)
        .values(bucket=bucket, window_ends_at=at + window, used=1)
        .on_conflict_do_update(
            index_elements=[RateLimit.bucket],
            set_={
                "used": case((fresh, 1), else_=RateLimit.used + 1),
                "window_ends_at": case((fresh, at + window), else_=RateLimit.window_ends_at),
            },
        )
        .returning(RateLimit.used, RateLimit.window_ends_at)
    )
    used, ends = session.execute(statement).one()
    if used > limit:
        wait = max(1, round((ends - at).total_seconds()))
        raise RateLimited(
            limit=limit,
            window_s=round(window.total_seconds()),
            retry_after_s=wait,
            retry_after=wait,
        )
