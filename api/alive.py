"""Where a web instance listens, and whether it answers there.

`python -m api.alive` is the health check of the image: it asks the instance of its own LISTEN. It
runs every few seconds beside the instance, so it imports nothing that takes long.
"""

import contextlib
import os
import socket
import sys
from pathlib import Path

ANYWHERE = "127.0.0.1:8000"
PATIENCE_S = 5


def address(listen: str) -> Path | tuple[str, int]:
    """The path of a Unix socket, or host and port.

    Raises:
        ValueError: LISTEN is malformed.
    """
    if listen.startswith("unix:"):
        return Path(listen.removeprefix("unix:"))
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal():
        raise ValueError(f"LISTEN={listen} is neither unix:/path nor host:port")
    return host, int(port)


def answers(where: Path | tuple[str, int]) -> bool:
    """Whether an instance answers its health check at this address."""
    with contextlib.suppress(OSError), _connected(where) as client:
        client.sendall(b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n")
        return client.recv(64).startswith(b"HTTP/1.0 200")
    return False


def _connected(where: Path | tuple[str, int]) -> socket.socket:
    if not isinstance(where, Path):
        return socket.create_connection(where, PATIENCE_S)
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(PATIENCE_S)
    try:
        client.connect(str(where))
    except OSError:
        client.close()
        raise
    return client


if __name__ == "__main__":
    sys.exit(not answers(address(os.environ.get("LISTEN") or ANYWHERE)))
