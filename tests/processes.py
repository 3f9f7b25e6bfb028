"""Real processes of this project, started by tests and always ended by them."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

from dev.postgres import free_port
from simulators.fcm.service_account import write_service_account

ROOT = Path(__file__).parent.parent
# The databases of tests are not durable, so that they are fast.
SURROUNDINGS = {"PYTHONUNBUFFERED": "1", "ALLOW_UNSAFE_DATABASE": "1"}


@contextlib.contextmanager
def running(*command: str, log: Path, **environment: str) -> Iterator[subprocess.Popen]:
    """`python -m …` in a group of its own; ended politely, then not."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=ROOT,
            env={**os.environ, **SURROUNDINGS, **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def healthy(url: str) -> bool:
    """Whether a program answers that it lives."""
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"{url}/healthz", trust_env=False).is_success
    return False


@contextlib.contextmanager
def an_fcm(directory: Path) -> Iterator[dict[str, str]]:
    """The FCM simulator as its own process; yields the settings of programs that push to it."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    account = directory / "firebase.json"
    write_service_account(account, f"{url}/token")
    arguments = ("--port", str(port), "--service-account", str(account))
    with running("simulators.fcm", *arguments, log=directory / "fcm.log"):
        wait_for("the FCM simulator", lambda: healthy(url))
        yield {"FCM_URL": url, "FIREBASE_CREDENTIALS_FILE": str(account)}


def wait_for(what: str, look: Callable[[], Any], *, seconds: float = 30) -> Any:
    """Whatever `look` finds, once it finds something."""
    until = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > until:
            raise TimeoutError(f"waited {seconds} s in vain for {what}")
        time.sleep(0.1)
    return found
