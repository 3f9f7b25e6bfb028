"""One deployment in small for the tests that only use it."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import a_database
from tests.deploy.stack import INSTANCES, NGINX, Stack, a_stack

needs_nginx = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")


@pytest.fixture(scope="module")
def stack(postgres) -> Iterator[Stack]:
    """Nginx and both web instances; a short path, since sockets lie below it."""
    with (
        tempfile.TemporaryDirectory(prefix="stack-") as directory,
        a_database(postgres) as url,
        a_stack(Path(directory), url) as running,
    ):
        for name in INSTANCES:
            running.start_web(name)
        yield running
