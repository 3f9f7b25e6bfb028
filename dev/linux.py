"""What the standard library does not offer for keeping processes in hand on Linux."""

import ctypes
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def dying_with_parent(sent: signal.Signals) -> Callable[[], None]:
    """Return a preexec_fn by which the kernel sends `sent` to the child when its parent dies.

    Not even SIGKILL of the parent leaves the child behind then. The kernel means the thread that
    started the child, so it is started from the main thread.
    """
    parent = os.getpid()

    def ask_the_kernel() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, int(sent), 0, 0, 0)
        # The parent may have died before the kernel was asked; then nobody would send anything.
        if os.getppid() != parent:
            os._exit(1)

    return ask_the_kernel


def processes() -> Iterator[int]:
    """Yield the ids of all processes that /proc shows."""
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal())


def command_line(pid: int) -> list[str]:
    """Return a process's arguments; none for one that is gone, a zombie or a kernel thread."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    except OSError:
        return []


def link(pid: int, name: str) -> str:
    """Return where /proc/<pid>/<name> points, or nothing when that may not be seen."""
    try:
        return str(Path(f"/proc/{pid}/{name}").readlink())
    except OSError:
        return ""


def open_files(pid: int) -> set[str]:
    """Return what a process has open, sockets as socket:[inode]; nothing when that is not shown."""
    try:
        return {link(pid, f"fd/{entry.name}") for entry in Path(f"/proc/{pid}/fd").iterdir()}
    except OSError:
        return set()
