"""A provider that is frozen or dead costs new sign-ins some patience, and nobody else anything."""

import os
import signal
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace

import httpx
import pytest

from settings import Settings
from tests import factories
from tests.conftest import a_database
from tests.identity.conftest import Phone
from tests.processes import free_port, healthy, running, wait_for

pytestmark = pytest.mark.slow

LOGIN = "/api/v1/auth/login"


@dataclass
class System:
    """A provider and a web process of two threads, each a process of its own."""

    url: str
    settings: Settings
    provider: int  # The process group of the provider.

    def sign_in(self, phone=None):
        """The answer, and how many seconds it took; without a phone, by a code that is none."""
        asked = phone.login() if phone else Phone(self.settings).login(code="x")
        return timed(lambda: httpx.post(self.url + LOGIN, json=asked, timeout=20))

    def tell(self, what):
        os.killpg(self.provider, what)

    @contextmanager
    def frozen(self):
        self.tell(signal.SIGSTOP)
        try:
            yield
        finally:
            self.tell(signal.SIGCONT)


def timed(call):
    began = time.monotonic()
    return call(), time.monotonic() - began


@pytest.fixture
def system(postgres, settings, tmp_path):
    issuer, url = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    secrets = {
        "OIDC_CLIENT_SECRET": settings.oidc_client_secret,
        "OIDC_ADMIN_CLIENT_SECRET": settings.oidc_admin_client_secret,
    }
    arguments = ("simulators.thainguyen_id", "--port", issuer.rpartition(":")[2])
    with (
        a_database(postgres) as address,
        running(*arguments, log=tmp_path / "id.log", **secrets) as provider,
        running(
            "api.server",
            log=tmp_path / "web.log",
            LISTEN=url.removeprefix("http://"),
            WEB_THREADS="2",
            DATABASE_URL=address,
            PUBLIC_URL=url,
            SECRET_KEY=settings.secret_key,
            **factories.KEYS,
            ACCESS_TOKEN_KEY_FILE=str(settings.access_token_key_file),
            STORAGE_URL=settings.storage_url,
            OIDC_ISSUER=issuer,
            OIDC_CLIENT_ID=settings.oidc_client_id,
            OIDC_ADMIN_CLIENT_ID=settings.oidc_admin_client_id,
            OIDC_REDIRECT_URIS=" ".join(settings.oidc_redirect_uris),
            **secrets,
        ),
    ):
        for each in (issuer, url):
            wait_for(each, lambda each=each: healthy(each))
        yield System(url, replace(settings, oidc_issuer=issuer), provider.pid)


def is_refused(answer):
    known = (answer.status_code, answer.json()["code"]) == (503, "provider_unavailable")
    return known and int(answer.headers["Retry-After"]) >= 1


@pytest.fixture
def everybody(system):
    """`everybody()`: somebody signed in goes on reading and refreshing; how long each took."""
    answer, _ = system.sign_in(Phone(system.settings))
    tokens = answer.json()

    def go_on():
        headers = {"Authorization": f"Bearer {tokens['access_token']}"}
        took = []
        for path in ("/api/v1/me", "/api/v1/places", "/api/v1/me/inbox"):
            answer, seconds = timed(
                lambda path=path: httpx.get(system.url + path, headers=headers, timeout=20)
            )
            assert answer.status_code == 200
            took.append(seconds)
        again, seconds = timed(
            lambda: httpx.post(
                f"{system.url}/api/v1/auth/refresh",
                json={"refresh_token": tokens["refresh_token"]},
                timeout=20,
            )
        )
        assert again.status_code == 200
        tokens.update(again.json())
        return [*took, seconds]

    return go_on


def test_a_frozen_provider_makes_new_sign_ins_wait_and_nobody_else(system, everybody):
    with ThreadPoolExecutor() as pool, system.frozen():
        until = time.monotonic() + 8
        trying = [pool.submit(system.sign_in)]
        others = []
        while time.monotonic() < until:
            trying.append(pool.submit(system.sign_in))
            others += everybody()
            time.sleep(0.2)
        refused = [each.result() for each in trying]

    assert all(is_refused(answer) for answer, _ in refused)
    assert max(seconds for _, seconds in refused) < 8
    # Loose enough for a busy machine; behind a thread that waits for the provider it is five.
    assert len(others) >= 20
    assert statistics.median(others) < 0.5
    assert max(others) < 4
    back = wait_for(
        "the provider",
        lambda: system.sign_in(Phone(system.settings))[0].status_code == 200,
        seconds=15,
    )
    assert back


def test_a_dead_provider_is_told_at_once_and_nobody_else_notices(system, everybody):
    system.tell(signal.SIGKILL)

    refused = [system.sign_in() for _ in range(10)]
    others = everybody()

    assert all(is_refused(answer) for answer, _ in refused)
    assert max(seconds for _, seconds in refused) < 2
    assert max(others) < 2
