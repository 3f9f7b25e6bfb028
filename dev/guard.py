"""Run one program of `make run` so that nothing of it is ever left behind.

honcho loses sight of a program whose children hold its output (granian's main process, killed,
leaves its workers listening), and of everything when it is killed itself. So each program has this
guard between: it ends the whole process group when the program ends, when honcho asks, and when
honcho is gone.
"""

import argparse
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from dev import linux

# honcho kills after five seconds; the guard has to be done before.
GRACE_SECONDS = 4
STOPPING = {signal.SIGTERM, signal.SIGINT}


def main() -> int:
    """Run the program until it ends or has to; DIED names the file that tells of the first dead."""
    parser = argparse.ArgumentParser(prog="python -m dev.guard", description=main.__doc__)
    parser.add_argument("name")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    # Blocked before the program starts, so that no wish to stop gets lost in between.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    program = subprocess.Popen(
        arguments.command,
        start_new_session=True,
        preexec_fn=_prepare(),  # noqa: PLW1509 - this process has one thread
    )
    asked = _wait(program, int(os.environ["SUPERVISOR"]))
    if asked:
        program.terminate()
        try:
            program.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            print(f"{arguments.name} did not stop in {GRACE_SECONDS} s and is killed", flush=True)
    _kill_group(program.pid)
    code = program.wait()
    if not asked:
        _remember(Path(os.environ["DIED"]), f"{arguments.name} ended by itself, {_how(code)}")
    return code if code >= 0 else 128 - code


def _prepare() -> Callable[[], None]:
    die = linux.dying_with_parent(signal.SIGTERM)

    def prepare() -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
        die()

    return prepare


def _wait(program: subprocess.Popen[bytes], supervisor: int) -> bool:
    """Wait for the program's end (return false), a signal to stop or honcho's end (return true)."""
    try:
        honcho = os.pidfd_open(supervisor)
    except ProcessLookupError:
        return True
    end = os.pidfd_open(program.pid)
    ends = select.poll()
    for descriptor in (honcho, end):
        ends.register(descriptor, select.POLLIN)
    while True:
        ready = {descriptor for descriptor, _ in ends.poll(100)}
        if end in ready:
            return False
        if honcho in ready or signal.sigtimedwait(STOPPING, 0) is not None:
            return True


def _kill_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


def _how(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"


def _remember(path: Path, line: str) -> None:
    print(line, flush=True)
    try:
        with path.open("x") as file:
            file.write(line)
    except FileExistsError:
        return  # Another one died first, and that is the one to tell of.


if __name__ == "__main__":
    sys.exit(main())
