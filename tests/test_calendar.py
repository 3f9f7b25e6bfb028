"""Deadlines in working time: mornings and afternoons of working days, holidays left out."""

import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.calendar import (
    HOURS_A_DAY,
    ZONE,
    after_working_time,
    end_of_day,
    is_working_day,
    urgency,
)

EXAMPLES = [
    # start, working hours, end; the first two are deadlines that a province published.
    ("2025-07-01 08:00", 7 * HOURS_A_DAY, "2025-07-10 08:00"),
    ("2024-11-07 08:00", 7 * HOURS_A_DAY, "2024-11-18 08:00"),
    ("2022-01-28 08:00", 7 * HOURS_A_DAY, "2022-02-15 08:00"),
    ("2026-11-23 10:00", 1, "2026-11-23 11:00"),
    ("2026-11-23 11:00", 1, "2026-11-23 13:30"),
    ("2026-11-23 07:30", 4, "2026-11-23 11:30"),
    ("2026-11-23 12:00", 1, "2026-11-23 14:00"),
    ("2026-11-23 16:30", 1, "2026-11-25 08:00"),
    ("2026-11-23 20:00", 1, "2026-11-25 08:30"),
    ("2026-11-27 16:30", 1, "2026-11-30 08:00"),
    ("2026-11-28 10:00", 1, "2026-11-30 08:30"),
    ("2026-11-29 10:00", 8, "2026-11-30 17:00"),
    ("2026-02-13 16:00", 2, "2026-02-23 08:30"),
    ("2025-04-29 16:00", 2, "2025-05-05 08:30"),
    ("2025-09-01 10:00", 1, "2025-09-03 08:30"),
]
moments = st.datetimes(dt.datetime(2024, 1, 1), dt.datetime(2027, 12, 1)).map(  # noqa: DTZ001 - the zone follows
    lambda moment: moment.replace(tzinfo=ZONE)
)
work = st.integers(0, 20 * HOURS_A_DAY * 60).map(lambda minutes: dt.timedelta(minutes=minutes))
alike = settings(derandomize=True, deadline=None, max_examples=200)


def local(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=ZONE)


def in_a_shift(moment: dt.datetime) -> bool:
    time = moment.astimezone(ZONE).time()
    morning = dt.time(7, 30) <= time <= dt.time(11, 30)
    return is_working_day(moment.astimezone(ZONE).date()) and (
        morning or dt.time(13) <= time <= dt.time(17)
    )


def worked_between(start: dt.datetime, end: dt.datetime) -> dt.timedelta:
    """Working time counted day by day, in another way than the code does."""
    total, day = dt.timedelta(), start.astimezone(ZONE).date()
    while day <= end.astimezone(ZONE).date():
        for begins, ends in ((7.5, 11.5), (13, 17)) if is_working_day(day) else ():
            midnight = dt.datetime.combine(day, dt.time(), ZONE)
            low = max(start, midnight + dt.timedelta(hours=begins))
            high = min(end, midnight + dt.timedelta(hours=ends))
            total += max(high - low, dt.timedelta())
        day += dt.timedelta(days=1)
    return total


@pytest.mark.parametrize(("start", "hours", "end"), EXAMPLES)
def test_working_time_passes_in_working_hours(start, hours, end):
    found = after_working_time(local(start), dt.timedelta(hours=hours))

    assert found.astimezone(ZONE) == local(end)


def test_a_deadline_is_told_in_utc():
    found = after_working_time(local("2026-11-23 08:00"), dt.timedelta(hours=1))

    assert found.tzinfo is dt.UTC
    assert found.isoformat() == "2026-11-23T02:00:00+00:00"


@pytest.mark.parametrize(
    "day",
    [
        "2026-01-01",
        "2026-02-17",
        "2026-04-30",
        "2026-05-01",
        "2026-09-02",
        "2026-11-24",
        "2026-11-28",
        "2025-01-29",
        "2024-02-10",
    ],
)
def test_a_holiday_is_no_working_day(day):
    assert not is_working_day(dt.date.fromisoformat(day))


@alike
@given(moments, work)
def test_a_deadline_never_lies_outside_working_time(start, time):
    assert in_a_shift(after_working_time(start, time))


@alike
@given(moments, work)
def test_until_the_deadline_just_that_much_was_worked(start, time):
    assert worked_between(start, after_working_time(start, time)) == time


@alike
@given(moments, moments, work)
def test_who_starts_later_ends_no_earlier(one, other, time):
    first, second = sorted((one, other))

    assert after_working_time(first, time) <= after_working_time(second, time)


@alike
@given(moments, work, work)
def test_more_work_takes_no_less_time(start, one, other):
    less, more = sorted((one, other))

    assert after_working_time(start, less) <= after_working_time(start, more)


@pytest.mark.parametrize(
    ("start", "days", "end"),
    [
        ("2026-11-23 00:00", 10, "2026-12-03 23:59:59"),
        ("2026-11-23 23:59:59", 10, "2026-12-03 23:59:59"),
        ("2026-11-24 06:59", 0, "2026-11-24 23:59:59"),
        ("2026-12-25 08:00", 15, "2027-01-09 23:59:59"),
        ("2028-02-20 08:00", 10, "2028-03-01 23:59:59"),
    ],
)
def test_days_are_counted_from_the_next_one_and_the_last_is_whole(start, days, end):
    assert end_of_day(local(start), days) == local(end)


@alike
@given(moments, st.integers(1, 60))
def test_a_period_in_days_is_never_shorter_than_so_many_times_24_hours(start, days):
    found = end_of_day(start, days)

    assert found > start + dt.timedelta(days=days) - dt.timedelta(seconds=1)
    assert found < start + dt.timedelta(days=days + 1)


@pytest.mark.parametrize(
    ("hours", "level"),
    [
        (0, "on_time"),
        (8, "on_time"),
        (8.1, "due_soon"),
        (10, "due_soon"),
        (10.1, "late"),
        (20, "late"),
        (20.1, "very_late"),
    ],
)
def test_a_deadline_of_ten_hours_becomes_urgent(hours, level):
    start = local("2026-11-23 08:00")
    due, at = start + dt.timedelta(hours=10), start + dt.timedelta(hours=hours)

    assert urgency(start, due, at=at) == level
