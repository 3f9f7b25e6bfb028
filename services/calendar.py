"""Working time of the administration: when a deadline given in working hours falls.

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
