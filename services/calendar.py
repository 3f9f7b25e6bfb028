"""Deadlines: in working time of the administration, or in days.

Hours: Monday to Friday 07:30-11:30 and 13:00-17:00 in Asia/Ho_Chi_Minh, public holidays of
Viet Nam left out (Labour Code 2019, article 112).
"""

import datetime as dt
from collections.abc import Iterator
from zoneinfo import ZoneInfo

import holidays

ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
SHIFTS = ((dt.time(7, 30), dt.time(11, 30)), (dt.time(13), dt.time(17)))
HOURS_A_DAY = 8
_HOLIDAYS = holidays.country_holidays("VN")
_SATURDAY = 5


def is_working_day(day: dt.date) -> bool:
    return day.weekday() < _SATURDAY and day not in _HOLIDAYS


def local_time(moment: dt.datetime) -> str:
    """A moment as people here write it, to the minute."""
    return f"{moment.astimezone(ZONE):%d/%m/%Y %H:%M}"


def after_working_time(start: dt.datetime, work: dt.timedelta) -> dt.datetime:
    """The moment, in UTC, when `work` of working time has passed since `start`.

    A start outside working hours counts from the next shift; the result is never outside one.
    """
    for begins, ends in _shifts_from(start):
        begin = max(begins, start)
        if begin + work <= ends:
            return (begin + work).astimezone(dt.UTC)
        work -= max(ends - begin, dt.timedelta())
    raise AssertionError("unreachable: there is always another shift")


def end_of_day(start: dt.datetime, days: int) -> dt.datetime:
    """The last second, in UTC, of the local day that comes `days` days after that of `start`.

    So periods in days are counted by the Civil Code 2015, articles 147 and 148: the day in which
    something happens is not counted, the last day is whole. That a period which ends on a day off
    is longer (article 148.5) is left out: whoever waits loses nothing by it.
    """
    day = start.astimezone(ZONE).date() + dt.timedelta(days=days)
    return dt.datetime.combine(day, dt.time(23, 59, 59), ZONE).astimezone(dt.UTC)


def urgency(start: dt.datetime, due: dt.datetime, *, at: dt.datetime) -> str:
    """How a deadline stands: on_time, due_soon, late or very_late.

    Late after the deadline, very late after twice the time, due soon in the last fifth.
    """
    allowed, left = due - start, due - at
    if left < -allowed:
        return "very_late"
    if left < dt.timedelta():
        return "late"
    return "due_soon" if left < allowed / 5 else "on_time"


def _shifts_from(start: dt.datetime) -> Iterator[tuple[dt.datetime, dt.datetime]]:
    day = start.astimezone(ZONE).date()
    while True:
        if is_working_day(day):
            for begins, ends in SHIFTS:
                shift = (
                    dt.datetime.combine(day, begins, ZONE),
                    dt.datetime.combine(day, ends, ZONE),
                )
                if shift[1] > start:
                    yield shift
        day += dt.timedelta(days=1)
