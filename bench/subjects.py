"""What is measured: the requests, whose they are, and that every program answers them alike."""

import datetime as dt
import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg

from bench.wrk import Request
from models import Audience
from services.permissions import LEVEL_2
from services.tokens import AccessClaims, Keys

# A full page and one row more, so that each list is twenty rows and a cursor.
FULL = 21
READERS = 40
API = "/api/v1"
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d.*")

_READERS = """
    SELECT citizens.id FROM citizens
      JOIN (SELECT reporter_id AS id FROM reports GROUP BY 1 HAVING count(*) >= %(full)s) AS writers
     USING (id)
      JOIN (SELECT citizen_id AS id FROM inbox_messages GROUP BY 1 HAVING count(*) >= %(full)s)
        AS told USING (id)
     WHERE locale = 'vi' ORDER BY id DESC LIMIT %(limit)s
"""
_WRITERS = "SELECT id FROM citizens ORDER BY id LIMIT %(limit)s"
_SPOTS = "SELECT category_code, lat, lng FROM reports ORDER BY id DESC LIMIT 500"


@dataclass(frozen=True)
class Case:
    """One list as everybody serves it."""

    key: str
    path: str
    signed_in: bool

    @property
    def name(self) -> str:
        return f"GET {self.path}"


CASES = (
    Case("public", "/public/reports", signed_in=False),
    Case("mine", "/reports", signed_in=True),
    Case("inbox", "/me/inbox", signed_in=True),
)
# A share of each in a hundred requests of a rush. Lists of alerts and /sync take the place of the
# first and the last one as soon as they exist.
RUSH = {"public": 60, "inbox": 25, "mine": 15}


class Subjects:
    """People of a filled database, and requests in their names."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.url = environment["DATABASE_URL"]
        self._keys = Keys(
            secret=environment["SECRET_KEY"],
            access_key=Path(environment["ACCESS_TOKEN_KEY_FILE"]),
            issuer=environment["PUBLIC_URL"],
        )
        self.readers = [reader for (reader,) in self._rows(_READERS, full=FULL, limit=READERS)]
        if not self.readers:
            raise RuntimeError("nobody in this database has a full page of anything")

    def reads(self, case: Case) -> list[Request]:
        """The case's requests, one for each reader, with tokens that last ten minutes."""
        if not case.signed_in:
            return [Request("GET", API + case.path)]
        return [Request("GET", API + case.path, self.bearer(reader)) for reader in self.readers]

    def rush(self) -> list[Request]:
        """A hundred requests in the shares of RUSH, well mixed."""
        by_key = {case.key: self.reads(case) for case in CASES}
        turns = [key for key, share in RUSH.items() for _ in range(share)]
        # 37 has no divisor in common with 100, so each is taken once.
        mixed = [turns[number * 37 % len(turns)] for number in range(len(turns))]
        return [by_key[key][number % len(by_key[key])] for number, key in enumerate(mixed)]

    def writes(self, count: int) -> list[Request]:
        """New reports, each by somebody else; a citizen may send twenty an hour."""
        spots = self._rows(_SPOTS)
        found = []
        for number, (citizen,) in enumerate(self._rows(_WRITERS, limit=count)):
            category, lat, lng = spots[number % len(spots)]
            draft = {"category": category, "description": "Ổ gà sâu trước chợ, số %d.",
                     "lat": lat, "lng": lng, "accuracy_m": 8.5}  # fmt: skip
            body = json.dumps(draft, ensure_ascii=False)
            found.append(Request("POST", f"{API}/reports", self.bearer(citizen), body))
        return found

    def bearer(self, citizen: uuid.UUID) -> str:
        now = dt.datetime.now(dt.UTC)
        claims = AccessClaims(citizen, uuid.uuid4(), Audience.CITIZEN, LEVEL_2, now, now)
        return f"Bearer {self._keys.mint(claims)}"

    def _rows(self, query: str, **parameters: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url) as connection:
            return connection.execute(query, parameters).fetchall()


def require_equal_answers(subjects: Subjects, urls: Mapping[str, str]) -> int:
    """Have all programs answer the same requests; returns how many answers were compared.

    Raises:
        RuntimeError: naming the request and the programs that differ.
    """
    compared = 0
    for case in CASES:
        for request in subjects.reads(case)[:5]:
            answers = {name: _answer(url, request) for name, url in urls.items()}
            first, *others = answers.items()
            if len(first[1].get("items", [])) != FULL - 1:
                raise RuntimeError(f"{first[0]} serves no full page of {case.path}")
            for name, answer in others:
                if answer != first[1]:
                    raise RuntimeError(f"{name} and {first[0]} differ on {case.path}")
            compared += len(answers)
    return compared


def _answer(url: str, request: Request) -> Any:
    headers = {} if request.authorization == "-" else {"Authorization": request.authorization}
    answer = httpx.get(url + request.path, headers=headers, trust_env=False, timeout=30)
    return _plain(answer.raise_for_status().json())


def _plain(value: Any) -> Any:
    """The same moment may be written with Z or +00:00."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, str) and _MOMENT.fullmatch(value):
        return dt.datetime.fromisoformat(value)
    return value
