"""Staff at their desks: signed-in clients, and the way through the provider's pages."""

import re
from dataclasses import replace
from urllib.parse import urlsplit

import httpx
import pytest

from dev.journey import browse
from services import identity
from tests import factories


@pytest.fixture
def settings(settings):
    """The address that the provider has registered for the staff view."""
    return replace(settings, public_url="http://127.0.0.1")


class Desk:
    """A signed-in member of staff with a browser that fills in forms."""

    def __init__(self, client, staff):
        self.client = client
        self.staff = staff

    def get(self, path, **options):
        return self.client.get(path, **options)

    def page(self, path):
        return self.get(path).get_data(as_text=True)

    def token(self):
        return re.search(r'name="csrf" value="([0-9a-f]+)"', self.page("/admin/"))[1]

    def post(self, path, **fields):
        return self.client.post(path, data={"csrf": self.token()} | fields)

    def move(self, report, step, **fields):
        version = fields.pop("version", report.version)
        return self.post(
            f"/admin/reports/{report.id}/move", step=step, version=str(version), **fields
        )

    def edit(self, report, step, **fields):
        version = fields.pop("version", report.version)
        return self.post(
            f"/admin/reports/{report.id}/edit", step=step, version=str(version), **fields
        )


@pytest.fixture
def desk(app, session, clock):
    """`desk("handler", "so-xay-dung")`: somebody with this role, signed in."""

    def sit(role="dispatcher", department=None, name="Trần Văn Cán"):
        return enter(app, session, clock, factories.a_staff(session, ((role, department),), name))

    return sit


def enter(app, session, clock, staff):
    told = factories.claims_of(factories.person_of(session, staff), auth_time=clock.now)
    secret = identity.enter_admin(session, told, vault=factories.VAULT, at=clock.now)
    session.commit()
    client = app.test_client()
    client.set_cookie("admin", secret, path="/admin")
    return Desk(client, staff)


@pytest.fixture
def citizen(session):
    return factories.a_citizen(session, "Người Gửi Tin")


@pytest.fixture
def report(session, citizen):
    return factories.a_report(session, citizen)


class Provider:
    """The provider as a person meets it, and the staff rows behind its accounts."""

    def __init__(self, url, session):
        self.url = url
        self.session = session

    def invite(self, username, role="dispatcher", department=None):
        people = httpx.get(f"{self.url}/demo/people").json()
        person = next(person for person in people if person["username"] == username)
        number, roles = person["citizen_number"], [(role, department)]
        staff = factories.invited(self.session, number, roles, person["name"])
        self.session.commit()
        return staff

    def send_back(self, client, username, path="/admin/login"):
        """Begin at our door, agree on the provider's pages; returns the callback's address."""
        begun = client.get(path)
        came = urlsplit(browse(begun.headers["Location"], username))
        return f"{came.path}?{came.query}"


@pytest.fixture
def provider(provider_url, session):
    yield Provider(provider_url, session)
    httpx.delete(f"{provider_url}/demo/faults")
