"""Commands of an installation: `flask --app wsgi COMMAND`."""

import csv
from collections.abc import Iterator
from pathlib import Path

import click
from flask import Flask
from flask.cli import with_appcontext

from api.current import current
from services import identity, reference
from services.errors import DomainError

REFERENCE = Path(__file__).parent.parent / "reference"


def init_app(app: Flask) -> None:
    app.cli.add_command(load_reference)
    app.cli.add_command(create_admin)
    app.cli.add_command(make_bucket)


@click.command("load-reference")
@with_appcontext
def load_reference() -> None:
    """Load communes, departments and categories; repeatable."""
    with current.db.transaction() as session:
        counts = reference.load(session, rows)
    click.echo(", ".join(f"{name}: {count}" for name, count in counts.items()))


@click.command("create-admin")
@click.option("--name", prompt=True)
@click.option("--citizen-number", prompt=True, hide_input=True)
@with_appcontext
def create_admin(name: str, citizen_number: str) -> None:
    """Invite the first administrator; the number is asked for, so that no history keeps it."""
    if not (citizen_number.isascii() and citizen_number.isdecimal() and len(citizen_number) == 12):  # noqa: PLR2004 - digits of a citizen number
        raise click.BadParameter("a citizen number has 12 digits")
    try:
        with current.db.transaction() as session:
            identity.create_administrator(
                session, citizen_number, vault=current.vault, name=name, at=current.now()
            )
    except DomainError as error:
        raise click.ClickException(str(error)) from error
    click.echo("Invited. They enter the staff view by signing in at level 2.")


@click.command("make-bucket")
@with_appcontext
def make_bucket() -> None:
    """Make the bucket of STORAGE_URL, private, unless it is there; repeatable."""
    try:
        current.storage.prepare()
    except DomainError as error:
        raise click.ClickException(str(error)) from error
    click.echo("The place for photos is there.")


def rows(name: str) -> Iterator[dict[str, str]]:
    """The lines of one reference file."""
    with (REFERENCE / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)
