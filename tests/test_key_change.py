"""Changing keys as docs/backup.md has it, while people use the system: nobody notices."""
# ruff: noqa: S311, T201 - chance is no secret here, and the figures are worth reading.

import contextlib
import datetime as dt
import itertools
import os
import random
import re
import signal
import stat
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psycopg
import pytest
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from dev import credentials
from models import Audience, Citizen, Database, Staff
from models.base import new_id
from services import identity
from services.errors import DomainError
from services.identity import DeviceFacts, PersonClaims
from services.permissions import LEVEL_2
from services.tokens import AccessClaims, Keys
from services.vault import Vault
from settings import Settings
from tests.conftest import a_database
from tests.factories import NOON, invited
from tests.processes import ROOT, SURROUNDINGS, free_port, running, wait_for

PAGE = (ROOT / "docs" / "backup.md").read_text("utf-8")
BLOCKS = dict(re.findall(r"^```sh (\S+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))
VARIABLES = ("DATA_KEYS", "INDEX_KEYS")


def block(name: str, **variables: str | Path) -> None:
    """Run commands of the page."""
    environment = {"PATH": os.defpath} | {key: str(value) for key, value in variables.items()}
    subprocess.run(["/bin/sh", "-euc", BLOCKS[name]], check=True, env=environment)


def keys_in(path: Path) -> dict[int, str]:
    words = path.read_text().split()
    return {int(number): secret for number, _, secret in (word.partition(":") for word in words)}


@pytest.mark.parametrize("end", ["", "\n"])
def test_the_page_changes_a_key_in_three_steps(tmp_path, end):
    file = tmp_path / "data_keys"
    file.write_text(f"1:{'a' * 32}{end}")
    file.chmod(0o440)

    block("add-key", KEYS=file)
    added = keys_in(file)
    block("use-key", KEYS=file)
    used = keys_in(file)
    block("drop-keys", KEYS=file)

    assert [*added] == [1, 2]
    assert (added[1], len(added[2])) == ("a" * 32, 64)
    assert [*used.items()] == [*reversed(added.items())]
    assert keys_in(file) == {2: added[2]}
    assert stat.S_IMODE(file.stat().st_mode) == 0o440
    assert [path.name for path in tmp_path.iterdir()] == ["data_keys"]


def test_the_page_gives_each_key_a_number_of_its_own(tmp_path):
    file = tmp_path / "data_keys"
    file.write_text(f"9:{'a' * 32} 10:{'b' * 32}")

    block("add-key", KEYS=file)
    block("use-key", KEYS=file)

    assert [*keys_in(file)] == [11, 10, 9]


def test_the_page_changes_the_key_of_tokens_in_three_steps(tmp_path):
    secrets = credentials.provide(tmp_path, token_uri="http://127.0.0.1:1/token")
    file = Path(secrets["ACCESS_TOKEN_KEY_FILE"])

    def published() -> list[str]:
        keys = Keys(secret="x" * 32, access_key=file, issuer="http://localhost")
        return [key["kid"] for key in keys.jwks()["keys"]]

    (former,) = published()
    block("add-token-key", TOKEN_KEYS=file)
    added = published()
    block("use-token-key", TOKEN_KEYS=file)
    used = published()
    block("drop-token-keys", TOKEN_KEYS=file)

    latter = added[1]
    assert (added, used, published()) == ([former, latter], [latter, former], [latter])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


# How much the slow test does.
CITIZENS, STAFF, KILLS = 100_000, 50, 5
# Requests and sign-ins a second: citizens' by HTTP, citizens' and staff's by real connections.
RATES = {"me": 30, "sign in": 10, "staff": 10}
LONGEST_WAIT_S = 2.0
# Half a minute where nobody else needs the processors.
LONGEST_RUN_S = 300
ISSUER = "http://provider.test"
COPY = """
    COPY citizens (id, issuer, subject, name, number_index, index_key_id, data_key, number_sealed,
                   phone_sealed, birth_date_sealed, locale, created_at) FROM STDIN
"""


def person(number: int) -> PersonClaims:
    return PersonClaims(
        issuer=ISSUER,
        subject=f"person-{number}",
        name="Nguyễn Thị Thử",
        acr=LEVEL_2,
        auth_time=NOON,
        citizen_number=f"0191{number:08}",
        phone=f"+849{number:08}",
        birth_date="1990-08-15",
    )


@dataclass
class Place:
    """An installation whose keys lie in files, and what is known of the people in it."""

    database_url: str
    folder: Path
    citizens: list = field(default_factory=list)
    url: str = ""

    def __post_init__(self) -> None:
        values = credentials.provide(self.folder / "secrets", token_uri="http://127.0.0.1:1/token")
        self.files = {name: self.folder / "secrets" / name.lower() for name in VARIABLES}
        self.environment = {
            "DATABASE_URL": self.database_url,
            "PUBLIC_URL": "http://localhost",
            "OIDC_ISSUER": "http://127.0.0.1:1",
            "OIDC_CLIENT_ID": "app",
            "OIDC_ADMIN_CLIENT_ID": "admin",
            "OIDC_REDIRECT_URIS": "http://127.0.0.1/callback",
            "STORAGE_URL": (self.folder / "files").as_uri(),
            **{name: value for name, value in values.items() if name not in VARIABLES},
            **{f"{name}_FILE": str(path) for name, path in self.files.items()},
        }
        self.keys = Keys(
            secret=values["SECRET_KEY"],
            access_key=Path(values["ACCESS_TOKEN_KEY_FILE"]),
            issuer="http://localhost",
        )

    def vault(self) -> Vault:
        """As a process has it that starts now."""
        settings = Settings.from_env(self.environment)
        return Vault(data_keys=settings.data_keys, index_keys=settings.index_keys)

    def change(self, name: str) -> None:
        for path in self.files.values():
            block(name, KEYS=path)

    @contextlib.contextmanager
    def serving(self):
        """A web process with the keys of this moment."""
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        environment = self.environment | {"LISTEN": f"127.0.0.1:{port}"}
        with running("api.server", log=self.folder / "web.log", **environment):
            wait_for("the web process", lambda: ready(url) is not None)
            yield url

    @contextlib.contextmanager
    def rotating(self):
        """The page's command; with SIGKILL for whatever of it is left at the end."""
        path = f"{Path(sys.executable).parent}:{os.defpath}"
        command = subprocess.Popen(
            ["/bin/sh", "-euc", BLOCKS["rotate-keys"]],
            cwd=ROOT,
            env={**os.environ, **SURROUNDINGS, **self.environment, "PATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            yield command
        finally:
            if command.poll() is None:
                os.killpg(command.pid, signal.SIGKILL)
                command.communicate()


def ready(url: str) -> list[str] | None:
    """The reasons why a process is not ready, none of them where it is; None without an answer."""
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"{url}/readyz", trust_env=False).json().get("reasons", [])
    return None


def fill(place: Place) -> None:
    """People as they are when all of them signed in and nobody did since."""
    vault = place.vault()
    with psycopg.connect(place.database_url) as connection:
        with connection.cursor().copy(COPY) as copy:
            for number in range(CITIZENS):
                told, row = person(number), Citizen(id=new_id())
                vault.equip(row)
                vault.write_number(row, told.citizen_number)
                vault.write(row, "phone", told.phone)
                vault.write(row, "birth_date", told.birth_date)
                index = row.number_index, row.index_key_id
                sealed = row.data_key, row.number_sealed, row.phone_sealed, row.birth_date_sealed
                copy.write_row(
                    (row.id, ISSUER, told.subject, told.name, *index, *sealed, "vi", NOON)
                )
                place.citizens.append(row.id)
        connection.commit()
        connection.execute("ANALYZE citizens")
    database = Database.at(place.database_url)
    with database.transaction() as session:
        for number in range(STAFF):
            told = person(number)
            invited(session, told.citizen_number, vault=vault)
    database.close()


class Traffic:
    """People who use the system all the time; what went wrong, and how long each thing took."""

    def __init__(self, place: Place, seed: int) -> None:
        self.place = place
        self.vault = place.vault()
        self.failures: list[str] = []
        self.waits: dict[str, list[float]] = {kind: [] for kind in RATES}
        self._database = Database.at(place.database_url, pool_size=4)
        self._http = httpx.Client(trust_env=False, timeout=10)
        self._dice = random.Random(seed)
        self._newcomers = itertools.count(CITIZENS)
        self._over = threading.Event()
        deeds = {"me": self._me, "sign in": self._sign_in, "staff": self._enter}
        self._threads = [
            threading.Thread(target=self._run, args=(kind, deeds[kind])) for kind in RATES
        ]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join()
        self._http.close()
        self._database.close()

    def _run(self, kind, deed):
        due = time.monotonic()
        while not self._over.wait(max(0, due - time.monotonic())):
            due += 1 / RATES[kind]
            began = time.monotonic()
            try:
                fault = deed()
            except (DomainError, SQLAlchemyError, httpx.HTTPError) as error:
                fault = repr(error)
            self.waits[kind].append(time.monotonic() - began)
            if fault:
                self.failures.append(f"{kind}: {fault}")

    def _me(self):
        number = self._dice.randrange(CITIZENS)
        now = dt.datetime.now(dt.UTC)
        claims = AccessClaims(
            self.place.citizens[number], new_id(), Audience.CITIZEN, LEVEL_2, now, now
        )
        token = self.place.keys.mint(claims)
        headers = {"Authorization": f"Bearer {token}"}
        answer = self._http.get(f"{self.place.url}/api/v1/me", headers=headers)
        told = answer.json().get("phone")
        return None if told == person(number).phone else f"{answer.status_code} {told}"

    def _sign_in(self):
        """Four in five have been here before."""
        back = self._dice.random() < 0.8
        number = self._dice.randrange(CITIZENS) if back else next(self._newcomers)
        citizen = self._start(person(number), Audience.CITIZEN).citizen
        return None if citizen.subject == f"person-{number}" else "another person"

    def _enter(self):
        """Staff are looked up by their numbers."""
        told = person(self._dice.randrange(STAFF))
        return None if self._start(told, Audience.STAFF).roles == ["dispatcher"] else "no role"

    def _start(self, told, audience):
        with self._database.transaction() as session:
            return identity.sign_in(
                session,
                told,
                keys=self.place.keys,
                vault=self.vault,
                audience=audience,
                device=DeviceFacts(str(new_id()), "android"),
                at=dt.datetime.now(dt.UTC),
            )


def standing(place: Place) -> Counter:
    """How many rows have which keys, as PostgreSQL counts them."""
    query = """
        SELECT get_byte(data_key, 1), index_key_id, count(*) FROM (
            SELECT data_key, index_key_id FROM citizens
            UNION ALL SELECT data_key, index_key_id FROM staff) people
         GROUP BY 1, 2
    """
    with psycopg.connect(place.database_url) as connection:
        return Counter({(data, index): count for data, index, count in connection.execute(query)})


def killed(place: Place, dice: random.Random) -> int:
    """Start the command, kill it at a moment when it has done something; what it had done."""
    before = standing(place)[2, 2]
    with place.rotating() as command:
        wait_for("progress", lambda: standing(place)[2, 2] > before + 500)
        time.sleep(dice.uniform(0, 1))
        assert command.poll() is None, "It was done before it could be killed."
    return standing(place)[2, 2] - before


@pytest.mark.slow
def test_keys_are_changed_while_everybody_goes_on(postgres, tmp_path):
    seed = random.randrange(2**32)
    print(f"\nseed {seed}")
    dice = random.Random(seed)
    with a_database(postgres) as url, contextlib.ExitStack() as programs:
        place = Place(url, tmp_path)
        began = time.monotonic()
        fill(place)
        print(f"filled in {time.monotonic() - began:.0f} s")

        former = programs.enter_context(contextlib.ExitStack())
        place.url = former.enter_context(place.serving())
        with Traffic(place, seed) as traffic:

            def exchange() -> None:
                """Another process takes over, with the keys of this moment."""
                nonlocal former
                latter = programs.enter_context(contextlib.ExitStack())
                place.url = latter.enter_context(place.serving())
                traffic.vault = place.vault()
                time.sleep(1)  # The former one still answers whoever asked it before.
                former.close()
                former = latter

            for name in ("add-key", "use-key"):
                place.change(name)
                exchange()
            began = time.monotonic()
            done = [killed(place, dice) for _ in range(KILLS)]
            with place.rotating() as command:
                output, _ = command.communicate(timeout=LONGEST_RUN_S)
            took = time.monotonic() - began
            print(f"killed after {done} rows; done after {took:.0f} s\n{output}")
            assert command.returncode == 0
            assert output.count("may be taken away") == 2
            assert standing(place).keys() == {(2, 2)}
            place.change("drop-keys")
            exchange()
            time.sleep(3)
        for kind, waits in traffic.waits.items():
            ordered = sorted(waits)
            print(
                f"{kind:>7}: {len(waits)}, ms: median {ordered[len(waits) // 2] * 1000:.0f},"
                f" longest {ordered[-1] * 1000:.0f}"
            )

        assert traffic.failures == []
        assert all(max(waits) < LONGEST_WAIT_S for waits in traffic.waits.values())
        assert ready(place.url) == []
        everybody_is_read_by_the_new_keys(place)
        without_the_new_keys_nobody_starts(place)


def everybody_is_read_by_the_new_keys(place: Place) -> None:
    vault = place.vault()
    assert vault.checks.keys() == {("data", 2), ("index", 2)}
    database = Database.at(place.database_url)
    with database.transaction() as session:
        found = session.scalars(select(Citizen).execution_options(yield_per=2000))
        wrong = [row.id for row in found if not tells_the_same(row, vault)]
        numbers = {vault.read(row, "number") for row in session.scalars(select(Staff))}
    database.close()
    assert wrong == []
    assert numbers == {person(number).citizen_number for number in range(STAFF)}


def tells_the_same(row: Citizen, vault: Vault) -> bool:
    told = person(int(row.subject.removeprefix("person-")))
    wanted = {"number": told.citizen_number, "phone": told.phone, "birth_date": told.birth_date}
    return row.number_index == vault.index(told.citizen_number) and all(
        vault.read(row, name) == text for name, text in wanted.items()
    )


def without_the_new_keys_nobody_starts(place: Place) -> None:
    for path in place.files.values():
        path.write_text(f"3:{'x' * 32}")
    with place.serving() as url:
        assert ready(url) == ["key_missing"]
