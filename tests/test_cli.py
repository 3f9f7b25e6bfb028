"""The commands of an installation."""

from dataclasses import replace

import pytest
from sqlalchemy import delete, func, select, update

from api.app import create_app
from models import AuditEvent, Category, LegacyPair, Place, Role, RoleGrant, Staff
from tests import factories, stores

NUMBER = "019099000001"


@pytest.fixture
def run(app):
    def command(*arguments: str, typed: str | None = None):
        return app.test_cli_runner().invoke(args=arguments, input=typed)

    return command


def test_an_administrator_is_invited_by_a_number_that_is_typed(run, session):
    result = run("create-admin", "--name", "Ma Văn Quản", typed=f"{NUMBER}\n")

    staff = session.scalars(select(Staff)).one()
    grants = session.execute(select(RoleGrant.role, RoleGrant.department_code)).all()
    assert result.exit_code == 0
    assert (staff.name, staff.citizen_id) == ("Ma Văn Quản", None)
    assert staff.number_index == factories.VAULT.index(NUMBER)
    assert grants == [(Role.ADMINISTRATOR, None)]
    assert session.scalars(select(AuditEvent.action)).all() == ["staff:invite"]


def test_the_number_shows_nowhere(run, session):
    result = run("create-admin", "--name", "Ma Văn Quản", typed=f"{NUMBER}\n")

    (event,) = session.scalars(select(AuditEvent))
    assert NUMBER not in result.output + str(event.detail)


def test_an_administrator_is_made_once(run, session):
    run("create-admin", "--name", "Ma Văn Quản", typed=f"{NUMBER}\n")

    result = run("create-admin", "--name", "Tên khác", typed=f"{NUMBER}\n")

    assert result.exit_code == 1
    assert result.output.endswith("Error: This person is a member of staff already.\n")
    assert session.scalars(select(Staff.name)).all() == ["Ma Văn Quản"]


@pytest.mark.parametrize("number", ["1", "01909900000", "0190990000011", "01909900000a", "٠" * 12])
def test_a_number_has_twelve_digits(run, session, number):
    result = run("create-admin", "--name", "Ma Văn Quản", typed=f"{number}\n")

    assert result.exit_code == 2
    assert "12 digits" in result.output
    assert session.scalars(select(Staff)).all() == []


def test_loading_the_reference_data_again_changes_nothing(run, session):
    before = [
        session.scalar(select(func.count()).select_from(table)) for table in (Place, LegacyPair)
    ]

    results = [run("load-reference") for _ in range(2)]

    after = [
        session.scalar(select(func.count()).select_from(table)) for table in (Place, LegacyPair)
    ]
    assert [result.exit_code for result in results] == [0, 0]
    assert "places: 93, legacy_places: 280, legacy_pairs: 283" in results[0].output
    assert (before, after) == ([93, 283], [93, 283])


def test_loading_the_reference_data_corrects_and_completes(run, session):
    session.execute(update(Place).where(Place.code == "19").values(full_name="Sai"))
    session.execute(delete(Category).where(Category.code == "giao-thong"))
    session.commit()

    run("load-reference")

    assert session.scalar(select(Place.full_name).where(Place.code == "19")) == "Tỉnh Thái Nguyên"
    assert session.scalar(select(Category.code).where(Category.code == "giao-thong"))


def test_a_bucket_is_made_once(settings, monkeypatch):
    with stores.moto() as url:
        for name, value in stores.variables(url).items():
            monkeypatch.setenv(name, value)
        app = create_app(replace(settings, storage_url="s3://made-once"))

        results = [app.test_cli_runner().invoke(args=["make-bucket"]) for _ in range(2)]

        buckets = stores.client(url).list_buckets()["Buckets"]
    assert [result.exit_code for result in results] == [0, 0]
    assert [bucket["Name"] for bucket in buckets].count("made-once") == 1


def test_a_folder_needs_no_bucket(run):
    assert run("make-bucket").exit_code == 0


def test_a_store_that_is_away_is_told_in_a_sentence(settings, monkeypatch):
    for name, value in stores.variables(stores.closed()).items():
        monkeypatch.setenv(name, value)
    app = create_app(replace(settings, storage_url="s3://photos"))

    result = app.test_cli_runner().invoke(args=["make-bucket"])

    assert result.exit_code == 1
    assert result.output.splitlines()[-1].startswith("Error: Photos cannot be stored")
