"""How every simulator is served: one process on loopback, several threads, state in memory."""

from granian import Granian
from granian.constants import Interfaces
from granian.log import LogLevels


def serve(factory: str, port: int, *, threads: int = 4) -> None:
    """Serve the WSGI application that `factory` ("package.module:function") makes."""
    Granian(
        factory,
        factory=True,
        address="127.0.0.1",
        port=port,
        interface=Interfaces.WSGI,
        workers=1,
        blocking_threads=threads,
        log_level=LogLevels.warning,
    ).serve()
