"""A migrated database, an application on it, and people who use it."""

import datetime as dt
import functools
import itertools
import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from flask import Flask
from sqlalchemy import event
from sqlalchemy.orm import Session, sessionmaker
from werkzeug.serving import make_server
from xdist.scheduler import LoadFileScheduling

import admin
import logs
from api.app import create_app, make_state
from api.cli import rows
from api.current import EXTENSION
from api.instruments import Metrics
from models import Database
from models.base import connect
from services import reference
from settings import Settings
from simulators.thainguyen_id.app import create_app as create_provider
from tests import canaries, factories
from tests.postgres import Server, leaks, server
from tests.processes import free_port, healthy, running, wait_for
from tests.watching import WatchingClient

ROOT = Path(__file__).parent.parent
# What starts whole systems or browsers: two at once are too much for a machine of two cores.
HEAVY = (
    "tests/deploy/",
    "tests/jobs/test_worker.py",
    "tests/admin/test_browser.py",
    "tests/admin/test_sign_in.py",
    "tests/simulators/test_thainguyen_id_pages.py",
    "tests/test_journey.py",
)
TEMPLATE = "ctn_template"
# A Monday morning in working hours, so that deadlines are easy to reckon.
NOON = dt.datetime(2026, 11, 23, 3, 0, tzinfo=dt.UTC)


class ByFile(LoadFileScheduling):
    """A file's tests share what they have started, so one process runs them, and one all heavy."""

    def _split_scope(self, nodeid: str) -> str:
        return "heavy" if nodeid.startswith(HEAVY) else super()._split_scope(nodeid)


# The chain waits for the oldest transaction of the whole server (docs/audit.md). Where two
# processes of tests share one, each would wait for whatever the other is in the middle of.
CHAIN = ("tests/audit/", "tests/admin/test_audit.py")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    if "DATABASE_URL" in os.environ:
        for item in items:
            if item.nodeid.startswith(CHAIN):
                item.add_marker(pytest.mark.alone)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    return ByFile(config, log)


class Clock:
    """A clock that tests may move."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> dt.datetime:
        return self.now

    def forward(self, **time: float) -> None:
        self.now += dt.timedelta(**time)


@pytest.fixture(scope="session", autouse=True)
def authorities_read_once() -> Iterator[None]:
    """Each of httpx's clients reads all certificate authorities, and none here speaks TLS."""
    with pytest.MonkeyPatch.context() as patch:
        once = functools.cache(httpx.create_ssl_context)
        patch.setattr("httpx._transports.default.create_ssl_context", once)
        yield


@pytest.fixture(scope="session", autouse=True)
def answers_watched() -> Iterator[None]:
    """Every client of every application looks for what is other people's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Flask, "test_client_class", WatchingClient)
        yield


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    with server() as running:
        running.create_database(TEMPLATE)
        migrate(running, TEMPLATE)
        database = Database.at(running.url("app", TEMPLATE))
        with database.transaction() as session:
            reference.load(session, rows)
        database.close()
        yield running
        assert leaks(running) == ""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """A test after which the log holds somebody's number or token has failed."""
    del item, call
    report = yield
    leaked = canaries.in_lines_of_the_log("".join(text for _, text in report.sections))
    if report.passed and leaked:
        report.outcome = "failed"
        report.longrepr = f"The log holds {sorted(leaked)}."
    return report


def migrate(running: Server, database: str) -> None:
    """As an operator does it: by the command, as the owner."""
    environment = os.environ | {
        "DATABASE_URL": running.url("app", database),
        "MIGRATION_DATABASE_URL": running.url("owner", database),
    }
    command = [sys.executable, "-m", "alembic", "upgrade", "head"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)


_numbers = itertools.count()


@contextmanager
def a_database(postgres: Server) -> Iterator[str]:
    """The address of a fresh copy of the migrated database; real commits, real locks."""
    name = f"ctn_copy_{next(_numbers)}"
    postgres.create_database(name, template=TEMPLATE)
    yield postgres.url("app", name)


@pytest.fixture
def committed(postgres: Server) -> Iterator[Database]:
    """A database of its own for a test that needs several connections."""
    with a_database(postgres) as url:
        database = Database.at(url, pool_size=30, max_overflow=0)
        yield database
        database.close()


@pytest.fixture(scope="session")
def engine(postgres: Server):
    with a_database(postgres) as url:
        engine = connect(url)
        yield engine
        engine.dispose()


@pytest.fixture
def database(engine) -> Iterator[Database]:
    """Sessions that share one connection, whose transaction is rolled back after the test."""
    with engine.connect() as connection:
        outer = connection.begin()
        yield Database(
            sessionmaker(
                connection, expire_on_commit=False, join_transaction_mode="create_savepoint"
            )
        )
        outer.rollback()


@pytest.fixture
def statements(engine):
    """With it, the statements that the database is sent meanwhile."""

    @contextmanager
    def listening() -> Iterator[list[str]]:
        seen: list[str] = []

        def note(*arguments):
            seen.append(arguments[2])

        event.listen(engine, "before_cursor_execute", note)
        try:
            yield seen
        finally:
            event.remove(engine, "before_cursor_execute", note)

    return listening


@pytest.fixture
def session(database: Database) -> Iterator[Session]:
    """The test's own session, never the application's: a forgotten commit shows."""
    with database.sessions() as session:
        yield session


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def access_key(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "access.pem"
    key = ec.generate_private_key(ec.SECP256R1())
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


@pytest.fixture(scope="session")
def provider_url() -> Iterator[str]:
    """The Thái Nguyên ID simulator, over HTTP."""
    with serving(lambda url: create_provider(url, client_secrets=factories.CLIENTS)) as url:
        yield url


@contextmanager
def serving(make_app) -> Iterator[str]:
    """A threaded server on a free port of loopback; `make_app` is told its address."""
    late = LateApp()
    http = make_server("127.0.0.1", 0, late, threaded=True)
    url = f"http://127.0.0.1:{http.server_port}"
    late.app = make_app(url)
    # Asked whether it should end; by default every half second, which each test would wait for.
    thread = threading.Thread(target=http.serve_forever, args=[0.02])
    thread.start()
    yield url
    http.shutdown()
    thread.join()
    http.server_close()


class LateApp:
    """An application that is known only after its server's port is."""

    app = None

    def __call__(self, environ, start_response):
        return self.app(environ, start_response)


@pytest.fixture
def two_servers(postgres, settings, tmp_path):
    """Two web processes on one database, each of which knows only what it read there."""
    with a_database(postgres) as url:
        ports = [free_port() for _ in range(2)]
        environment = {
            "DATABASE_URL": url,
            "PUBLIC_URL": "http://127.0.0.1",
            "SECRET_KEY": settings.secret_key,
            "DATA_KEYS": "1:" + factories.DATA_KEYS[1],
            "INDEX_KEYS": "1:" + factories.INDEX_KEYS[1],
            "ACCESS_TOKEN_KEY_FILE": str(settings.access_token_key_file),
            "OIDC_ISSUER": settings.oidc_issuer,
            "OIDC_CLIENT_ID": settings.oidc_client_id,
            "OIDC_CLIENT_SECRET": settings.oidc_client_secret,
            "OIDC_ADMIN_CLIENT_ID": settings.oidc_admin_client_id,
            "OIDC_ADMIN_CLIENT_SECRET": settings.oidc_admin_client_secret,
            "OIDC_REDIRECT_URIS": "http://127.0.0.1/callback",
            "STORAGE_URL": settings.storage_url,
        }
        with ExitStack() as both:
            for port in ports:
                both.enter_context(
                    running(
                        "api.server",
                        log=tmp_path / f"{port}.log",
                        LISTEN=f"127.0.0.1:{port}",
                        **environment,
                    )
                )
            urls = [f"http://127.0.0.1:{port}" for port in ports]
            for each in urls:
                wait_for(each, lambda each=each: healthy(each))
            yield url, urls


@pytest.fixture
def settings(make_settings, tmp_path) -> Settings:
    return make_settings(tmp_path / "files")


@pytest.fixture(scope="session")
def make_settings(access_key, provider_url) -> Callable[[Path], Settings]:
    """The settings of an installation whose photos lie in a given folder."""
    return lambda files: Settings(
        database_url="postgresql://nobody@127.0.0.1:1/none",
        public_url="http://localhost",
        secret_key=secrets.token_urlsafe(32),
        data_keys=factories.DATA_KEYS,
        index_keys=factories.INDEX_KEYS,
        access_token_key_file=access_key,
        oidc_issuer=provider_url,
        oidc_client_id="c-thainguyen-app",
        oidc_client_secret=factories.CLIENTS["c-thainguyen-app"],
        oidc_admin_client_id="c-thainguyen-admin",
        oidc_admin_client_secret=factories.CLIENTS["c-thainguyen-admin"],
        oidc_redirect_uris=("vn.gov.thainguyen.c:/oauth2redirect", "http://127.0.0.1/callback"),
        storage_url=files.as_uri(),
        allow_unsafe_database=True,  # That of the tests is fast instead.
    )


@pytest.fixture(scope="session")
def views(make_settings, tmp_path_factory) -> Flask:
    """An application with its views and its contract, which take a tenth of a second to make."""
    app = create_app(make_settings(tmp_path_factory.mktemp("views")))
    admin.init_app(app)
    return app


@pytest.fixture
def app(views, settings, database, clock) -> Flask:
    """The views on parts of this test's own; what settings register needs a `create_app`."""
    logs.configure(settings.log_level)
    views.extensions[EXTENSION] = make_state(settings, database, clock)
    views.extensions["metrics"] = Metrics()
    views.testing = True
    return views


@pytest.fixture
def client(app):
    return app.test_client()


@pytest.fixture
def citizen(session):
    """Somebody who signed in."""
    return factories.a_citizen(session)


@pytest.fixture
def headers(app, session, citizen):
    """Those of the citizen's app."""
    return factories.bearer(app, session, citizen)


@dataclass(frozen=True)
class Live:
    """A real server on a database of its own."""

    url: str
    database: Database
    settings: Settings
    app: object


@pytest.fixture
def live(postgres, settings) -> Iterator[Live]:
    with a_database(postgres) as address:
        database = Database.at(address, pool_size=10)
        made: list[Live] = []

        def make(url: str):
            own = replace(settings, public_url=url, database_url=address)
            app = create_app(own, db=database)
            admin.init_app(app)
            made.append(Live(url, database, own, app))
            return app

        with serving(make):
            yield made[0]
        database.close()
