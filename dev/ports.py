"""Which ports of this machine are free, and who holds the others."""

import socket
import time
from collections.abc import Mapping
from pathlib import Path

from dev import linux
from dev.config import Problem

_LISTENING = "0A"


def require_free(ports: Mapping[int, str], *, patience: float = 0) -> None:
    """See that every port can be listened on, waiting `patience` seconds for those that cannot.

    Raises:
        Problem: naming each taken port, who wanted it and who has it.
    """
    deadline = time.monotonic() + patience
    while taken := [port for port in ports if not _is_free(port)]:
        if time.monotonic() >= deadline:
            raise Problem(_explain({port: ports[port] for port in taken}, min(ports)))
        time.sleep(0.1)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # Connections of an earlier run that are being wound up do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen(1)
        except OSError:
            return False
        return True


def _explain(taken: Mapping[int, str], first: int) -> str:
    lines = [
        f"Port {port}, for {name}, is taken by {holder(port)}." for port, name in taken.items()
    ]
    other = 9000 if first < 9000 else 8000  # noqa: PLR2004 - any other thousand
    return "\n".join([*lines, f"Stop it, or choose other ports: PORT={other} make run"])


def holder(port: int) -> str:
    """Name the process that listens on the port, as far as /proc shows it to this user."""
    sockets = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    for pid in linux.processes():
        if sockets & linux.open_files(pid):
            return f"process {pid} ({' '.join(linux.command_line(pid))[:80]})"
    return "a process that this user may not see"


def _listening_inodes(port: int) -> set[str]:
    found = set()
    for table in ("tcp", "tcp6"):
        try:
            rows = Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            fields = row.split()
            if fields[3] == _LISTENING and int(fields[1].rsplit(":", 1)[1], 16) == port:
                found.add(fields[9])
    return found
