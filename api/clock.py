"""The only place that reads the clock for requests."""

import datetime as dt


def utc_now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
