"""By which names this installation is reached.

Nothing that goes out is made of the Host header: links, redirects and cookies know PUBLIC_URL. A
request by another name is refused all the same, since whatever stands in front (a cache, a browser
that was led here by a foreign name) might make more of it than we do.
"""

import ipaddress
import re
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

HOST = re.compile(r"([A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?", re.ASCII)
LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
# A balancer asks each machine by its address, and the health check of the image by "localhost".
ASKED_BY_MACHINES = frozenset({"/healthz", "/readyz"})


# What a request by a foreign name is handed on with: werkzeug cannot even route some of them.
NOBODY = "nobody.invalid"
MARK = "c_thainguyen.host_unknown"


class OwnNames:
    """Hands requests on, those by a foreign name marked and without it.

    Known is the name in PUBLIC_URL, whatever the port; on loopback all names of this machine.
    """

    def __init__(self, wsgi: Callable[..., Iterable[bytes]], public_url: str) -> None:
        self._wsgi = wsgi
        found = HOST.fullmatch(urlsplit(public_url).netloc)
        name = found[1].lower() if found else ""
        self._names = LOOPBACK if name in LOOPBACK else frozenset({name})

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if not self._know(environ.get("HTTP_HOST", ""), environ.get("PATH_INFO", "")):
            environ |= {"HTTP_HOST": NOBODY, MARK: True}
        return self._wsgi(environ, start_response)

    def _know(self, host: str, path: str) -> bool:
        found = HOST.fullmatch(host)
        if found is None:
            return not host and path in ASKED_BY_MACHINES
        name = found[1].lower()
        if name in self._names:
            return True
        return path in ASKED_BY_MACHINES and (name in LOOPBACK or _is_address(name))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
