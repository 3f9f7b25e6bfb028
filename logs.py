"""One JSON object a line on standard output, of listed fields only.

What is not on the list does not reach the log, so a name, a number or a token cannot slip in by
a careless keyword.
"""

import datetime as dt
import logging
from collections.abc import MutableMapping
from typing import Any

import orjson
import structlog

ALLOWED = frozenset(
    {
        "attempt",
        "constraint",
        "count",
        "event",
        "hash",
        "kind",
        "level",
        "method",
        "ms",
        "outcome",
        "position",
        "queue",
        "request_id",
        "route",
        "sqlstate",
        "status",
        "subject_id",
        "task",
        "timestamp",
        "where",
    }
)


def configure(level: str) -> None:
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            only_allowed,
            structlog.processors.JSONRenderer(serializer=to_json),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
        # Line and line end in one write, so that the lines of two processes do not mix.
        logger_factory=structlog.WriteLoggerFactory(),
        cache_logger_on_first_use=False,
    )


class Lines(logging.Formatter):
    """What the servers say of themselves, in lines of the same form."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "event": record.getMessage(),
            "level": record.levelname.lower(),
            "where": record.name,
            "timestamp": dt.datetime.fromtimestamp(record.created, dt.UTC),
        }
        return to_json(line)


STANDARD = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"lines": {"()": Lines}},
    "handlers": {
        "out": {
            "class": "logging.StreamHandler",
            "formatter": "lines",
            "stream": "ext://sys.stdout",
        }
    },
    "root": {"handlers": ["out"], "level": "ERROR"},
    "loggers": {
        "_granian": {"handlers": ["out"], "level": "INFO", "propagate": False},
        "granian.access": {"handlers": ["out"], "level": "CRITICAL", "propagate": False},
    },
}


def request_headers() -> dict[str, str]:
    """What an outgoing request says of its cause: the id that stands in each line about it."""
    request_id = structlog.contextvars.get_contextvars().get("request_id")
    return {"X-Request-Id": request_id} if request_id else {}


def to_json(event: Any, **_options: Any) -> str:
    return orjson.dumps(event, default=repr).decode()


def only_allowed(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    return {name: value for name, value in event.items() if name in ALLOWED}
