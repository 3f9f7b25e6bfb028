"""The front door of a local system, from the same template as a deployed one."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from string import Template

from api.server import refuse
from dev.config import PROJECT, Problem

TEMPLATE = PROJECT / "deploy" / "nginx.conf.template"
# The kernel's limit for the path of a Unix socket, less the closing zero and what api/server.py
# adds to the name while it is not yet or no longer served.
LONGEST_SOCKET_PATH = 107 - len(".4194304.dead")
# Inside quotes nginx gives these a meaning, and no escape takes it from all of them.
UNUSABLE = set('"\\$;{}\n')


def socket_path(prefix: Path) -> Path:
    """Return where the application listens: below the prefix, unless that path is too long."""
    path = prefix / "web.sock"
    if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH and " " not in str(path):
        return path
    return Path(tempfile.mkdtemp(prefix="c-thainguyen-")) / "web.sock"


def prepare(
    prefix: Path,
    *,
    listen: str,
    sockets: Sequence[Path],
    files: Path,
    store: str = "",
    connections: int = 1000,
) -> None:
    """Write nginx.conf into the prefix and clear away what an earlier run left.

    Raises:
        Problem: when a path cannot be written in nginx's language.
    """
    if UNUSABLE & set("".join(map(str, [*sockets, files]))):
        raise Problem(f"nginx cannot use DATA_DIR because of a sign in its path: {files.parent}")
    if UNUSABLE & set(store):
        raise Problem("nginx cannot use AWS_ENDPOINT_URL_S3 because of a sign in it.")
    prefix.mkdir(parents=True, exist_ok=True)
    prefix.chmod(0o700)
    for socket in sockets:
        socket.unlink(missing_ok=True)
        refuse(socket)
    # Each start begins a new log, or it would grow for as long as the data are kept.
    (prefix / "access.log").unlink(missing_ok=True)
    upstreams = [f"unix:{socket}" for socket in sockets]
    (prefix / "nginx.conf").write_text(
        render(
            listen=listen, upstreams=upstreams, files=files, store=store, connections=connections
        )
    )


def render(
    *,
    listen: str,
    upstreams: Sequence[str],
    files: Path,
    store: str = "",
    connections: int = 1000,
) -> str:
    """Fill in the template; names in small letters are nginx's own variables and stay.

    `store` is the address of an S3 store, by number: no name server is asked for it here.
    """
    return Template(TEMPLATE.read_text()).safe_substitute(
        LISTEN=listen,
        UPSTREAMS=" ".join(f"server {upstream} max_fails=0;" for upstream in upstreams),
        CONNECTIONS_PER_ADDRESS=connections,
        PUBLIC_SCHEME="http",
        REAL_IP="",
        FILES_DIR=files,
        S3_LOCATION=f"set $s3 {store};" if store else "",
        ACCESS_LOG="access.log",
        # As root nginx would hand over to nobody, who cannot enter a data directory of mode 700.
        USER_DIRECTIVE="user root;" if os.geteuid() == 0 else "",
    )
