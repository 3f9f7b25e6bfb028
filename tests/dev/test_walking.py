"""`make journey` and `python -m dev.token`: where they look for the system that runs."""

import os
import subprocess
import sys

import pytest

from dev.config import PROJECT
from dev.postgres import free_port

COMMANDS = pytest.mark.parametrize("command", [("dev.journey",), ("dev.token", "dan01")])


def ended(command, **environment):
    return subprocess.run(
        [sys.executable, "-m", *command],
        check=False,
        cwd=PROJECT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )


@COMMANDS
def test_they_follow_the_port_and_say_in_one_line_that_nothing_answers_there(command):
    port = free_port()

    done = ended(command, PORT=str(port))

    address = f"http://127.0.0.1:{port}"
    assert done.stderr == f"Nothing answers at {address}; `make run` starts it.\n"
    assert (done.returncode, done.stdout) == (1, "")


@COMMANDS
def test_an_address_that_is_named_comes_before_the_port(command):
    port = free_port()

    done = ended((*command, "--url", f"http://127.0.0.1:{port}"), PORT="9000")

    assert done.stderr.startswith(f"Nothing answers at http://127.0.0.1:{port};")


@COMMANDS
def test_a_port_that_is_none_is_told_in_one_line(command):
    done = ended(command, PORT="http")

    assert done.stderr.startswith("PORT=http is not a number")
    assert done.stderr.count("\n") == done.returncode == 1
