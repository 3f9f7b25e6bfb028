"""Rows of invented people and reports as the services leave them, written as lines for COPY.

The services themselves would need an hour for a million reports. What they do is looked up where
it stands as data (the table of moves, the calendar, the reference data); tests/test_seed.py
compares the rest with what they make.
"""

import bisect
import datetime as dt
import hashlib
import math
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from dev.seed_words import (
    APP_VERSIONS,
    DURATIONS,
    FAMILY_NAMES,
    GIVEN_NAMES,
    MIDDLE_NAMES,
    PHONES,
    REASONS,
    REFUSALS,
    SPOTS,
    STREETS,
    TOPICS,
    VERDICTS,
    WISHES,
)
from models import Audience, ReportState
from services import calendar
from services.feedback import TRANSITIONS
from services.identity.sessions import ABSOLUTE, SLIDING
from services.permissions import LEVEL_2

COLUMNS = {
    "citizens": "id, issuer, subject, name, number_index, locale, home_place_code, created_at",
    "staff": "id, number_index, name, citizen_id, created_at",
    "role_grants": "id, staff_id, role, department_code",
    "device_sessions": "id, citizen_id, audience, acr, auth_time, installation_hash, platform,"
    " model, app_version, created_at, last_used_at, expires_at",
    "refresh_tokens": "id, session_id, token_hash, salt, created_at, expires_at",
    "devices": "id, installation_hash, citizen_id, session_id, platform, kind, value,"
    " app_version, locale, last_seen_at",
    "reports": "id, code, reporter_id, hide_reporter, category_code, description, lat, lng,"
    " accuracy_m, place_code, place_uncertain, address, occurred_at, source, visibility,"
    " public_text, state, department_code, assignee_id, version, acknowledge_due_at,"
    " resolve_due_at, acknowledged_at, resolved_at, reopened_count, rating, rating_text,"
    " rated_at, created_at, updated_at",
    "report_events": "id, report_id, at, kind, actor_kind, actor_id, from_state, to_state, text,"
    " reason, public",
    "idempotency_keys": "actor_id, operation, key, body_mac, resource_id, created_at",
    "inbox_messages": "id, citizen_id, kind, subject_type, subject_id, facts, created_at, read_at",
    "audit_events": "id, at, actor_kind, actor_id, action, subject_type, subject_id, detail, role,"
    " organisation",
}
# Nobody signs in as one of these people: no provider has this name.
ISSUER = "urn:c-thainguyen:seed"
NULL = r"\N"
DISPATCHERS = 4
HANDLERS = 3
MOVES = {transition.name: transition for transition in TRANSITIONS}
# How reports go, and how often; what lies in the future has not happened yet.
WAYS = {
    ("assign", "claim", "resolve"): 70,
    ("reject",): 9,
    ("assign", "reject"): 4,
    ("assign", "return", "assign", "claim", "resolve"): 5,
    ("assign", "hand_over", "claim", "resolve"): 4,
    ("assign", "claim", "resolve", "reopen", "claim", "resolve"): 3,
    ("assign", "claim"): 3,
    ("assign",): 1,
    (): 1,
}
# Of the offices in working time, of citizens at any time.
MEAN_HOURS = {
    "assign": 3, "publish": 4, "claim": 8, "resolve": 20, "hand_over": 4, "return": 4, "reject": 4,
    "reopen": 30, "rate": 40,
}  # fmt: skip
CITIZENS_STEPS = frozenset({"reopen", "rate"})
LONGEST_HOURS = {"reopen": 24 * 6.5}  # A citizen has seven days.
PUBLISHED, RATED, HIDDEN, READ = 0.4, 0.3, 0.1, 0.7
HOME_TOLD, READS_ENGLISH = 0.6, 0.03
MESSAGES_A_REPORT = sum(
    share * (1 + sum(MOVES[step].tells is not None for step in way)) for way, share in WAYS.items()
) / sum(WAYS.values())
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
WAKING_MS = 16 * HOUR_MS
DAYS = 3 * 365 + 1
OPENED_DAYS = 90
SESSION_DAYS = 170
SPOTS_KNOWN = 4096
STRAY_DEGREES = 0.0003  # Some 30 m.
CLEAR_KM = 0.2
KM_A_DEGREE = 111.2

Batch = dict[str, list[str]]
Line = Sequence[object]


@dataclass(frozen=True, slots=True)
class Spot:
    """A place where something happens, well inside one unit of today."""

    lat: float
    lng: float
    code: str
    name: str


@dataclass(frozen=True, slots=True)
class Facts:
    """The reference data that reports need; centres are (code, name, lat, lng) of old communes."""

    centres: Sequence[tuple[str, str, float, float]]
    departments: dict[str, str]
    hours: dict[str, tuple[int, int]]


@dataclass(slots=True)
class Offices:
    """The ids of the staff by what they do."""

    dispatchers: list[str] = field(default_factory=list)
    handlers: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    leaders: dict[str, str] = field(default_factory=dict)
    # The role of each, and the department it is for.
    held: dict[str, tuple[str, str | None]] = field(default_factory=dict)


def uuid7(rng: random.Random, ms: int) -> str:
    """A UUIDv7 of that moment with bits that are drawn, not random."""
    bits = rng.getrandbits(74)
    return f"{ms:012x}7{bits >> 62:03x}{bits & (1 << 62) - 1 | 1 << 63:016x}"


def stamp(ms: int) -> str:
    return dt.datetime.fromtimestamp(ms / 1000, dt.UTC).isoformat()


def line(*values: object) -> str:
    """One row for COPY; none of our words holds a tab or a backslash."""
    return "\t".join([NULL if value is None else str(value) for value in values])


def digest(*parts: object) -> str:
    """32 bytes that look like a hash of a secret, in COPY's spelling."""
    return r"\\x" + hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()


class Period:
    """Three years of waking hours that end at `until`, begun a while after the app was opened."""

    def __init__(self, until: dt.datetime) -> None:
        self.end = int(until.timestamp() * 1000)
        self.start = self.end - DAYS * DAY_MS
        self.opened = self.start - OPENED_DAYS * DAY_MS

    def moment(self, share: float) -> int:
        """The time when `share` of all reports have come, 0 to 1."""
        day, part = divmod(share * DAYS, 1)
        return self.start + int(day) * DAY_MS + int(part * WAKING_MS)

    def signed_up(self, share: float) -> int:
        return self.opened + int(share * (self.end - self.opened))

    def share_signed_up(self, ms: int) -> float:
        return (ms - self.opened) / (self.end - self.opened)


class WorkingTime:
    """services.calendar.after_working_time for millions of questions, by a table of all shifts."""

    def __init__(self, period: Period) -> None:
        self.ends: list[int] = []
        self.begins: list[int] = []
        day = dt.datetime.fromtimestamp(period.start / 1000, calendar.ZONE).date()
        last = dt.datetime.fromtimestamp(period.end / 1000, calendar.ZONE).date()
        while day < last + dt.timedelta(days=60):
            if calendar.is_working_day(day):
                for begins, ends in calendar.SHIFTS:
                    self.begins.append(_ms(day, begins))
                    self.ends.append(_ms(day, ends))
            day += dt.timedelta(days=1)
        lengths = [end - begin for begin, end in zip(self.begins, self.ends, strict=True)]
        self.worked = list(accumulate(lengths))

    def after(self, start: int, hours: float) -> int:
        shift = bisect.bisect_right(self.ends, start)
        left = self.ends[shift] - max(start, self.begins[shift])
        wanted = self.worked[shift] - left + int(hours * HOUR_MS)
        found = bisect.bisect_left(self.worked, wanted)
        return self.ends[found] - (self.worked[found] - wanted)


def _ms(day: dt.date, time: dt.time) -> int:
    return int(dt.datetime.combine(day, time, calendar.ZONE).timestamp() * 1000)


def spots(rng: random.Random, facts: Facts) -> list[Spot]:
    """Spots around the centres, some communes busier than others.

    One so near to a border that straying would cross it is drawn again, so that a report has the
    unit that services.places.resolve would give it.
    """
    busy = [rng.expovariate(1) for _ in facts.centres]
    found: list[Spot] = []
    while len(found) < SPOTS_KNOWN:
        _, _, lat, lng = rng.choices(facts.centres, busy)[0]
        lat, lng = lat + rng.gauss(0, 0.008), lng + rng.gauss(0, 0.008)
        nearest: dict[str, tuple[float, str]] = {}
        for code, name, *centre in facts.centres:
            distance = _km(lat, lng, *centre)
            if distance < nearest.get(code, (math.inf, ""))[0]:
                nearest[code] = distance, name
        (first, (near, name)), (_, (far, _)) = sorted(nearest.items(), key=lambda item: item[1][0])[
            :2
        ]
        if far - near > CLEAR_KM:
            found.append(Spot(lat, lng, first, name))
    return found


def _km(lat: float, lng: float, centre_lat: float, centre_lng: float) -> float:
    across = (lng - centre_lng) * math.cos(math.radians(lat))
    return math.hypot(lat - centre_lat, across) * KM_A_DEGREE


class People:
    """Citizens with the device they are signed in on, and staff."""

    def __init__(self, rng: random.Random, seed: int, period: Period, homes: list[Spot]) -> None:
        self.rng, self.seed, self.period, self.homes = rng, seed, period, homes

    def citizens(self, first: int, last: int, total: int) -> tuple[Batch, list[str]]:
        """The rows of some of `total` citizens in the order of their first sign-in; their ids."""
        batch: Batch = defaultdict(list)
        return batch, [
            self._citizen(batch, f"{self.seed}-{number}", self.period.signed_up(number / total))
            for number in range(first, last)
        ]

    def staff(self) -> tuple[Batch, Offices]:
        """Dispatchers, and handlers and a leader in each department that a topic belongs to."""
        batch: Batch = defaultdict(list)
        offices = Offices()
        for _ in range(DISPATCHERS):
            offices.dispatchers.append(self._clerk(batch, offices, "dispatcher", None))
        for department in sorted({topic.department for topic in TOPICS.values()}):
            for _ in range(HANDLERS):
                handler = self._clerk(batch, offices, "handler", department)
                offices.handlers[department].append(handler)
            offices.leaders[department] = self._clerk(batch, offices, "leader", department)
        return batch, offices

    def _citizen(self, batch: Batch, subject: str, at: int, name: str | None = None) -> str:
        rng = self.rng
        citizen = uuid7(rng, at)
        home = rng.choice(self.homes).code if rng.random() < HOME_TOLD else None
        locale = "en" if rng.random() < READS_ENGLISH else "vi"
        name = name or self._name()
        number = digest("number", subject)
        batch["citizens"].append(
            line(citizen, ISSUER, subject, name, number, locale, home, stamp(at))
        )
        self._session(batch, citizen, subject, locale, at)
        return citizen

    def _session(self, batch: Batch, citizen: str, subject: str, locale: str, at: int) -> None:
        """Their last sign-in, still alive, with its token and its device."""
        rng, end = self.rng, self.period.end
        at = max(at, end - rng.randrange(SESSION_DAYS * DAY_MS))
        session = uuid7(rng, at)
        platform, model = rng.choice(PHONES)
        version = rng.choice(APP_VERSIONS)
        installation = digest("installation", subject)
        used = rng.randrange(at, end)
        expires = at + int(ABSOLUTE[Audience.CITIZEN].total_seconds() * 1000)
        # The one token of the chain that matters: the others were exchanged.
        renewed = min(used + int(SLIDING[Audience.CITIZEN].total_seconds() * 1000), expires)
        batch["device_sessions"].append(
            line(
                session, citizen, "citizen", LEVEL_2, stamp(at), installation, platform, model,
                version, stamp(at), stamp(used), stamp(expires),
            )
        )  # fmt: skip
        batch["refresh_tokens"].append(
            line(
                uuid7(rng, used), session, digest("token", subject), digest("salt", subject)[:35],
                stamp(used), stamp(renewed),
            )
        )  # fmt: skip
        batch["devices"].append(
            line(
                uuid7(rng, at), installation, citizen, session, platform, "token",
                digest("address", subject)[3:], version, locale, stamp(used),
            )
        )  # fmt: skip
        audit(batch, rng, "session:start", "citizen", citizen, ("session", session), at,
              '{"audience": "citizen"}')  # fmt: skip

    def _clerk(self, batch: Batch, offices: Offices, role: str, department: str | None) -> str:
        rng, at = self.rng, self.period.opened
        subject = f"{self.seed}-staff-{len(batch['staff'])}"
        name = self._name()
        citizen = self._citizen(batch, subject, at, name)
        staff = uuid7(rng, at)
        batch["staff"].append(line(staff, digest("number", subject), name, citizen, stamp(at)))
        batch["role_grants"].append(line(uuid7(rng, at), staff, role, department))
        offices.held[staff] = role, department
        audit(batch, rng, "staff:invite", "system", None, ("staff", staff), at,
              f'{{"roles": ["{role}"]}}')  # fmt: skip
        return staff

    def _name(self) -> str:
        names = FAMILY_NAMES, MIDDLE_NAMES, GIVEN_NAMES
        return " ".join(self.rng.choice(some) for some in names)


@dataclass(frozen=True, slots=True)
class World:
    """What all reports share."""

    seed: int
    period: Period
    facts: Facts
    spots: Sequence[Spot]
    offices: Offices
    citizens: Sequence[str]
    working_time: WorkingTime


def reports(world: World, numbers: Sequence[int], first: int, total: int, told_from: int) -> Batch:
    """The rows of some of `total` reports, of which those from `told_from` left their messages.

    Each batch has its own draw, so that batches can be made in any order.
    """
    rng = random.Random(f"{world.seed}/{first}")  # noqa: S311 - the same rows every time
    batch: Batch = defaultdict(list)
    ways, shares = list(WAYS), list(WAYS.values())
    topics, weights = list(TOPICS), [topic.weight for topic in TOPICS.values()]
    drawn = zip(
        numbers,
        rng.choices(ways, shares, k=len(numbers)),
        rng.choices(topics, weights, k=len(numbers)),
        rng.choices(world.spots, k=len(numbers)),
        strict=True,
    )
    for position, (number, way, topic, spot) in enumerate(drawn, first):
        at = world.period.moment((position + rng.random()) / total)
        story = Story(world, rng, batch, at, number, topic, spot, told=position >= told_from)
        story.tell(way)
    return batch


class Story:
    """One report, from its creation to where it stands at the end of the period."""

    def __init__(
        self,
        world: World,
        rng: random.Random,
        batch: Batch,
        at: int,
        number: int,
        category: str,
        spot: Spot,
        *,
        told: bool,
    ) -> None:
        self.world, self.rng, self.batch, self.told = world, rng, batch, told
        self.created = self.updated = self.at = at
        year = dt.datetime.fromtimestamp(at / 1000, calendar.ZONE)
        self.code = f"TN-{year:%y}-{number:06d}"
        self.category, self.topic, self.spot = category, TOPICS[category], spot
        self.id = uuid7(rng, at)
        present = int(world.period.share_signed_up(at) * len(world.citizens))
        # Some write much more than others.
        self.reporter = world.citizens[int(present * rng.random() ** 1.5)]
        self.state = ReportState.RECEIVED
        self.department: str | None = None
        self.assignee: str | None = None
        self.version = 1
        self.reopened = 0
        self.acknowledged: int | None = None
        self.resolved: int | None = None
        self.rated: int | None = None
        self.rating: int | None = None
        self.published = False
        self.trouble = rng.choice(self.topic.troubles)
        self._set_deadlines(at)

    def tell(self, way: Sequence[str]) -> None:
        """Write the report, its timeline, its audit events and its reporter's messages."""
        event(self.batch, self.rng, self.id, self.at, "created", "citizen", self.reporter,
              to_state="received")  # fmt: skip
        self._audit("report:create", "citizen", self.reporter)
        self._message("report_received", "")
        for step in self._with_more(way):
            self.at = self._next_moment(step)
            if self.at >= self.world.period.end:
                break
            {"publish": self._publish, "rate": self._rate}.get(step, lambda s=step: self._move(s))()
        self.batch["reports"].append(self._row())
        self.batch["idempotency_keys"].append(self._key())

    def _next_moment(self, step: str) -> int:
        hours = self.rng.expovariate(1 / MEAN_HOURS[step]) + 1 / 60
        if step in CITIZENS_STEPS:
            return self.at + int(min(hours, LONGEST_HOURS.get(step, hours)) * HOUR_MS)
        return self.world.working_time.after(self.at, hours)

    def _key(self) -> str:
        """The key of the request that sent it; these stay for good."""
        key, body = uuid7(self.rng, self.created), digest("body", self.id)
        return line(self.reporter, "create_report", key, body, self.id, stamp(self.created))

    def _with_more(self, way: Sequence[str]) -> list[str]:
        """The moves, and what may be done in between."""
        steps = list(way)
        if "assign" in way and self.rng.random() < PUBLISHED:
            steps.insert(1, "publish")
        if way[-1:] == ("resolve",) and self.rng.random() < RATED:
            steps.append("rate")
        return steps

    def _move(self, name: str) -> None:
        move, origin, rng = MOVES[name], self.state, self.rng
        kind, actor = self._actor(name)
        text, reason = None, REASONS.get(name)
        if name == "resolve":
            text, self.resolved = rng.choice(self.topic.results), self.at
        elif name == "reject":
            reason = rng.choice(list(REFUSALS))
            text = REFUSALS[reason]
        elif name == "assign":
            self.department, self.assignee = self.topic.department, None
        elif name == "hand_over":
            others = self.world.offices.leaders.keys() - {self.department}
            self.department, self.assignee = rng.choice(sorted(others)), None
        elif name == "return":
            self.department = self.assignee = None
        elif name == "claim":
            self.assignee = actor
        elif name == "reopen":
            self._set_deadlines(self.at)
            self.resolved = self.assignee = None
            self.reopened += 1
        self.state = move.to
        if origin is ReportState.RECEIVED and self.acknowledged is None:
            self.acknowledged = self.at
        self._touch()
        event(self.batch, rng, self.id, self.at, name, kind, actor, from_state=origin.value,
              to_state=move.to.value, text=text, reason=reason,
              public=name not in {"return", "hand_over"})  # fmt: skip
        self._audit(f"report:{name}", kind, actor, f'{{"to": "{move.to.value}"}}')
        if move.tells:
            self._message(move.tells, self._words(move.tells, text))

    def _publish(self) -> None:
        self.published = True
        self._touch()
        actor = self.rng.choice(self.world.offices.dispatchers)
        fields = "public_text", "visibility"
        event(self.batch, self.rng, self.id, self.at, "edited", "staff", actor,
              text=", ".join(fields), public=False)  # fmt: skip
        self._audit("report:edit", "staff", actor, f'{{"fields": ["{fields[0]}", "{fields[1]}"]}}')

    def _rate(self) -> None:
        self.rating = self.rng.choices((1, 2, 3, 4, 5), (1, 1, 3, 8, 12))[0]
        self.rated = self.at
        event(self.batch, self.rng, self.id, self.at, "rated", "citizen", self.reporter,
              text=str(self.rating))  # fmt: skip
        self._audit("report:rate", "citizen", self.reporter, f'{{"score": {self.rating}}}')

    def _actor(self, name: str) -> tuple[str, str]:
        offices, department = self.world.offices, self.department
        if name == "reopen":
            return "citizen", self.reporter
        if department is None or name == "hand_over":
            return "staff", self.rng.choice(offices.dispatchers)
        if name == "reject":
            return "staff", offices.leaders[department]
        return "staff", self.assignee or self.rng.choice(offices.handlers[department])

    def _words(self, kind: str, text: str | None) -> str:
        """What a message says beside the code."""
        if kind == "report_assigned" and self.department:
            return f', "department": "{self.world.facts.departments[self.department]}"'
        return f', "text": "{text}"' if text else ""

    def _message(self, kind: str, words: str) -> None:
        if not self.told:
            return
        read = self.at + int(self.rng.expovariate(1 / 9) * HOUR_MS)
        if read >= self.world.period.end or self.rng.random() > READ:
            read = 0
        self.batch["inbox_messages"].append(
            line(
                uuid7(self.rng, self.at), self.reporter, kind, "report", self.id,
                f'{{"code": "{self.code}"{words}}}', stamp(self.at), stamp(read) if read else None,
            )
        )  # fmt: skip

    def _audit(self, action: str, kind: str, actor: str, detail: str = "{}") -> None:
        subject, held = ("report", self.id), self.world.offices.held.get(actor, (None, None))
        audit(self.batch, self.rng, action, kind, actor, subject, self.at, detail, held=held)

    def _touch(self) -> None:
        self.version += 1
        self.updated = self.at

    def _set_deadlines(self, start: int) -> None:
        acknowledge, resolve = self.world.facts.hours[self.category]
        after = self.world.working_time.after
        self.acknowledge_due, self.resolve_due = after(start, acknowledge), after(start, resolve)

    def _row(self) -> str:
        rng, spot = self.rng, self.spot
        house = rng.randrange(1, 400)
        where = rng.choice(SPOTS).format(number=house)
        description = (
            f"{self.trouble} {where}, {spot.name}, {rng.choice(DURATIONS)}. {rng.choice(WISHES)}"
        )
        address = f"Số {house}, đường {rng.choice(STREETS)}" if house % 3 == 0 else None
        occurred = stamp(self.created - rng.randrange(3 * DAY_MS)) if house % 4 == 0 else None
        accuracy = round(rng.expovariate(1 / 15) + 3, 1)
        verdict = rng.choice(VERDICTS) if self.rated and house % 2 else None
        return line(
            self.id, self.code, self.reporter, rng.random() < HIDDEN, self.category,
            description.strip(),
            round(spot.lat + rng.uniform(-STRAY_DEGREES, STRAY_DEGREES), 6),
            round(spot.lng + rng.uniform(-STRAY_DEGREES, STRAY_DEGREES), 6),
            accuracy, spot.code, False, address, occurred, "app",
            "public" if self.published else "private",
            f"{self.trouble}, {spot.name}." if self.published else None,
            self.state.value, self.department, self.assignee, self.version,
            stamp(self.acknowledge_due), stamp(self.resolve_due), _or_null(self.acknowledged),
            _or_null(self.resolved), self.reopened, self.rating, verdict, _or_null(self.rated),
            stamp(self.created), stamp(self.updated),
        )  # fmt: skip


def _or_null(ms: int | None) -> str | None:
    return stamp(ms) if ms else None


def event(  # noqa: PLR0913 - as many as columns
    batch: Batch,
    rng: random.Random,
    report: str,
    at: int,
    kind: str,
    actor_kind: str,
    actor: str,
    *,
    from_state: str | None = None,
    to_state: str | None = None,
    text: str | None = None,
    reason: str | None = None,
    public: bool = True,
) -> None:
    """Add one step to a timeline."""
    batch["report_events"].append(
        line(
            uuid7(rng, at), report, stamp(at), kind, actor_kind, actor, from_state, to_state,
            text, reason, public,
        )
    )  # fmt: skip


def audit(  # noqa: PLR0913 - as many as columns
    batch: Batch,
    rng: random.Random,
    action: str,
    actor_kind: str,
    actor: str | None,
    subject: tuple[str, str],
    at: int,
    detail: str,
    *,
    held: tuple[str | None, str | None] = (None, None),
) -> None:
    """Add one event to the record."""
    batch["audit_events"].append(
        line(uuid7(rng, at), stamp(at), actor_kind, actor, action, *subject, detail, *held)
    )
