"""The measurements can tell: other answers stop them, and a missed target is called missed."""

import copy
import json

import pytest

from bench import report
from bench.subjects import CASES, require_equal_answers
from bench.wrk import Request
from tests.conftest import serving

ITEMS = [{"code": f"TN-26-{number:06}", "at": "2026-11-24T01:02:03Z"} for number in range(20)]


class Anybody:
    """Whose requests do not matter here."""

    def reads(self, case):
        return [Request("GET", case.path)]


def a_program(body):
    def make(_url):
        def app(_environ, start_response):
            start_response("200 OK", [("Content-Type", "application/json")])
            return [json.dumps(body).encode()]

        return app

    return serving(make)


def changed(**fields):
    return {"items": [*ITEMS[:-1], ITEMS[-1] | fields], "next_cursor": "x"}


def test_the_same_moment_may_be_spelled_otherwise():
    theirs = {
        "items": [item | {"at": "2026-11-24T01:02:03+00:00"} for item in ITEMS],
        "next_cursor": "x",
    }
    with a_program(changed()) as ours, a_program(theirs) as peer:
        assert require_equal_answers(Anybody(), {"ours": ours, "peer": peer}) == 2 * len(CASES)


@pytest.mark.parametrize(
    "theirs",
    [
        changed(code="another"),
        changed(at="2026-11-24T01:02:04Z"),
        changed(more=1),
        {"items": ITEMS[:-1], "next_cursor": "x"},
        {"items": ITEMS, "next_cursor": None},
    ],
)
def test_a_peer_that_answers_otherwise_is_not_measured(theirs):
    with (
        a_program(changed()) as ours,
        a_program(theirs) as peer,
        pytest.raises(RuntimeError, match="differ on /public/reports"),
    ):
        require_equal_answers(Anybody(), {"ours": ours, "peer": peer})


def test_a_list_that_is_not_full_is_not_measured():
    with a_program({"items": []}) as ours, pytest.raises(RuntimeError, match="no full page"):
        require_equal_answers(Anybody(), {"ours": ours})


@pytest.fixture
def results():
    return copy.deepcopy(report.stored())


def verdicts(results):
    return {goal.what: goal.met for goal in report.goals(results)}


def halve(figures):
    figures["requests"] //= 2


def slow_down(figures):
    for name in ("p95_ms", "p99_ms"):
        figures[name] *= 100


def refuse(figures):
    figures["refused"] += 1


SPIKE = "B2 in a spike of ten times: broken, or refused without `Retry-After`"
WORSE = {
    "B1 `GET /public/reports` against fastapi": lambda of: of["lists"]["public"]["fastapi"],
    "B1 `GET /reports` against flask": lambda of: of["lists"]["mine"]["flask"],
    "B2 refused or broken": lambda of: of["rush"]["anew"]["ours"],
    "B2 p99 against p50": lambda of: of["rush"]["kept"]["ours"],
    "B3 p95 of `POST /reports`, large archive": lambda of: of["writes"]["large"],
    "B4 p95 of `GET /me/inbox`, large against small": lambda of: of["growth"]["inbox"]["large"],
}


@pytest.mark.parametrize("what", WORSE)
def test_worse_figures_miss_their_target(results, what):
    for figures in WORSE[what](results):
        figures["requests"] *= 10
        slow_down(figures)
        refuse(figures)

    assert verdicts(results)[what] == "**no**"


def test_a_target_that_only_some_rounds_meet_is_unclear(results):
    results["writes"]["large"][0]["p95_ms"] = 1e6

    assert verdicts(results)["B3 p95 of `POST /reports`, large archive"] == "unclear"


def test_slower_lists_are_the_ones_that_get_a_profile(results):
    for figures in results["lists"]["mine"]["ours"]:
        halve(figures)

    assert CASES[1] in report.missed(results)


def test_what_recovers_late_or_without_a_word_is_told(results):
    results["rush"]["spike"] |= {"recovered_s": 60.0, "without_retry_after": 1}

    told = verdicts(results)

    assert told["B2 recovered after the spike"] == "**no**"
    assert told[SPIKE] == "**no**"


def test_a_spike_in_which_no_refusal_was_seen_proves_nothing(results):
    results["rush"]["spike"]["probes"] = {"200": 40}
    results["rush"]["spike"]["who"]["signed in"]["refused_rate"] = 100.0

    assert verdicts(results)[SPIKE] == "unclear"


def test_the_page_names_every_missed_target(results):
    page = report.render(results)

    for goal in report.goals(results):
        assert goal.row() in page
