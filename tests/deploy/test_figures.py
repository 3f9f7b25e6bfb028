"""The figures of several processes: true, bounded, and still there when a process is not."""

import os
import signal
from collections import Counter

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.deploy.conftest import needs_nginx
from tests.deploy.stack import INSTANCES
from tests.processes import free_port, healthy, running, wait_for

pytestmark = needs_nginx

KNOWN = 1000
UNKNOWN = 2000


@pytest.fixture
def figures(stack):
    """Both instances counting in one folder, and the program that adds up what they counted."""
    port = free_port()
    shared = {
        "PROMETHEUS_MULTIPROC_DIR": str(stack.directory / "figures"),
        "METRICS_PORT": str(port),
    }
    stack.environment.update(shared)
    for name in INSTANCES:
        stack.stop(name)
        stack.start_web(name)
    url = f"http://127.0.0.1:{port}"
    log = stack.directory / "metrics.log"
    with running("api.metrics", log=log, **stack.environment):
        wait_for("the figures", lambda: reachable(url))
        yield url
    for name in shared:
        del stack.environment[name]


def reachable(url):
    try:
        return httpx.get(f"{url}/metrics", trust_env=False).is_success
    except httpx.TransportError:
        return False


def samples(url):
    """Each series with its value."""
    text = httpx.get(f"{url}/metrics", trust_env=False, timeout=20).text
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def answered(found):
    """How many requests were answered, by route and status; health checks are nobody's."""
    counts = Counter()
    for (name, labels), value in found.items():
        told = dict(labels)
        if name == "http_requests_total" and told["route"] != "/healthz":
            counts[told["route"], told["status"]] += int(value)
    return counts


def ask(stack, ledger, path, route, *, method="GET", times=1):
    with httpx.Client(base_url=stack.url, trust_env=False, timeout=20) as client:
        for number in range(times):
            answer = client.request(method, path.format(number))
            ledger[route, str(answer.status_code)] += 1


def kill(stack, name):
    """End an instance with all its processes, without a word."""
    process = stack.processes.pop(name)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    stack.programs.pop(name).close()


def test_the_figures_are_those_of_the_clients(stack, figures):
    ledger = Counter()
    ask(stack, ledger, "/api/v1/places/{:05}", "/api/v1/places/<code>", times=KNOWN // 2)
    ask(stack, ledger, "/api/v1/config", "/api/v1/config", times=KNOWN // 4)
    ask(stack, ledger, "/api/v1/me", "/api/v1/me", times=KNOWN // 4)
    assert ledger["/api/v1/me", "401"] == KNOWN // 4
    before = samples(figures)
    assert answered(before) == ledger

    ask(stack, ledger, "/nothing/{}", "(none)", times=UNKNOWN)
    ask(stack, ledger, "/nothing/{}", "(none)", method="FOO", times=20)
    after = samples(figures)

    assert answered(after) == ledger
    # All of them together are one route more; it has two methods, and a histogram of its own.
    more = {labels for _, labels in after.keys() - before.keys() if "le" not in dict(labels)}
    assert len(more) <= 5

    kill(stack, "a")
    assert answered(samples(figures)) == ledger
    stack.start_web("a")
    ask(stack, ledger, "/api/v1/config", "/api/v1/config", times=50)
    assert answered(samples(figures)) == ledger


def test_the_figures_tell_of_the_queue(stack, figures):
    found = {name: value for (name, _), value in samples(figures).items()}

    assert found["database_up"] == 1
    assert found["workers_alive"] == 0
    assert healthy(stack.url)
