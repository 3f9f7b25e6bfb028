"""Where the time of a request goes in Python, by function."""

import cProfile
import pstats
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from werkzeug.test import EnvironBuilder, run_wsgi_app

from api.app import create_app
from bench.subjects import Case, Subjects
from settings import Settings

REQUESTS = 500
ROWS = 12


def of(environment: Mapping[str, str], case: Case) -> list[tuple[float, str]]:
    """The functions with the largest own time: their share in per cent, and their name."""
    app = create_app(Settings.from_env({**environment, "LOG_LEVEL": "ERROR"}))
    (request, *_) = Subjects(environment).reads(case)
    headers = {} if request.authorization == "-" else {"Authorization": request.authorization}
    builder = EnvironBuilder(request.path, headers=headers)
    profile = cProfile.Profile()
    for number in range(REQUESTS + 20):
        if number == 20:  # noqa: PLR2004 - by then everything is warm
            profile.enable()
        body, status, _ = run_wsgi_app(app, builder.get_environ())
        b"".join(body)
        if not status.startswith("200"):
            raise RuntimeError(status)
    profile.disable()
    return list(_largest(profile))


def _largest(profile: cProfile.Profile) -> Iterator[tuple[float, str]]:
    stats: Any = pstats.Stats(profile)
    total = stats.total_tt
    own = sorted(stats.stats.items(), key=lambda item: item[1][2], reverse=True)
    for (file, _, function), figures in own[:ROWS]:
        where = "" if file == "~" else f"{Path(file).parent.name}/{Path(file).name} "
        yield round(figures[2] / total * 100, 1), f"{where}{function}"
