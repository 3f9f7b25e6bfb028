"""The FCM simulator as its own process, and the adapter that talks to it."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
import urllib3

from dev.postgres import free_port
from notifications.fcm import FcmPush
from notifications.push import Address, Message
from simulators.fcm.service_account import write_service_account

START_SECONDS = 20


@dataclass(frozen=True)
class Simulator:
    url: str
    account: Path
    http: urllib3.PoolManager

    def fault(self, **fault: Any) -> None:
        self.http.request("POST", f"{self.url}/demo/faults", json=fault)

    def delete(self, path: str) -> None:
        self.http.request("DELETE", f"{self.url}{path}")

    def received(self, value: str) -> list[dict[str, Any]]:
        answer = self.http.request("GET", f"{self.url}/demo/phones/{quote(value, safe='')}")
        return answer.json()


def wait_until_healthy(http: urllib3.PoolManager, url: str) -> None:
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            http.request("GET", f"{url}/healthz", retries=False, timeout=1)
        except urllib3.exceptions.HTTPError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            return


@pytest.fixture(scope="session")
def fcm_process(tmp_path_factory) -> Iterator[Simulator]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    account = tmp_path_factory.mktemp("fcm") / "account.json"
    write_service_account(account, f"{url}/token")
    command = [sys.executable, "-m", "simulators.fcm", "--port", str(port)]
    root = Path(__file__).parents[2]
    with (
        subprocess.Popen([*command, "--service-account", str(account)], cwd=root) as process,
        urllib3.PoolManager() as http,
    ):
        try:
            wait_until_healthy(http, url)
            yield Simulator(url, account, http)
        finally:
            process.terminate()


@pytest.fixture
def simulator(fcm_process) -> Iterator[Simulator]:
    yield fcm_process
    fcm_process.delete("/demo/faults")
    fcm_process.delete("/demo/phones")


@pytest.fixture
def make_push(simulator) -> Iterator[Callable[..., FcmPush]]:
    """Build adapters, by default for the simulator with a short patience, and close them."""
    built: list[FcmPush] = []

    def make(account: Path = simulator.account, url: str = simulator.url) -> FcmPush:
        built.append(FcmPush(account, url, timeout=timedelta(seconds=1), connections=8))
        return built[-1]

    yield make
    for push in built:
        push.close()


@pytest.fixture
def push(make_push) -> FcmPush:
    return make_push()


@pytest.fixture
def make_message() -> Callable[..., Message]:
    def make(value: str = "phone-1", **changes: Any) -> Message:
        fields: dict[str, Any] = {
            "notification_id": uuid4(),
            "address": Address("fid", value),
            "title": "C-Thái Nguyên",
            "body": "Phản ánh của bạn có cập nhật mới.",
            "data": {"subject": "report"},
            "collapse_key": "reports",
            "ttl": timedelta(days=1),
            "urgent": False,
        }
        return Message(**(fields | changes))

    return make
