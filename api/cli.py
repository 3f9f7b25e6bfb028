"""Commands of an installation: `flask --app wsgi COMMAND`."""

import csv
from collections.abc import Iterator
from pathlib import Path

import click
import orjson
from flask import Flask
from flask.cli import with_appcontext

from api.current import current
from api.rotation import rotate_keys
from models import Role
from services import audit, places, reference, staff
from services.errors import DomainError
from services.permissions import Grant
from services.privacy import guardians, retention

REFERENCE = Path(__file__).parent.parent / "reference"


def init_app(app: Flask) -> None:
    app.cli.add_command(load_reference)
    app.cli.add_command(import_boundaries)
    app.cli.add_command(create_admin)
    app.cli.add_command(make_bucket)
    app.cli.add_command(verify_audit)
    app.cli.add_command(rotate_keys)
    app.cli.add_command(carry_out_retention)


@click.command("load-reference")
@with_appcontext
def load_reference() -> None:
    """Load communes, departments, categories and legal clocks; repeatable."""
    with current.db.transaction() as session:
        counts = reference.load(session, rows)
    click.echo(", ".join(f"{name}: {count}" for name, count in counts.items()))


@click.command("import-boundaries")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@with_appcontext
def import_boundaries(file: Path) -> None:
    """Take the borders of communes from a GeoJSON FILE, in place of former ones."""
    try:
        document = orjson.loads(file.read_bytes())
    except orjson.JSONDecodeError as error:
        raise click.ClickException(f"{file} is no JSON: {error}") from error
    try:
        with current.db.transaction() as session:
            taken = places.import_borders(session, document)
    except DomainError as error:
        raise click.ClickException(str(error)) from error
    click.echo(
        f"{taken.units} units with {taken.points} points; of the centres of {taken.centres} old "
        f"communes, {taken.centres_right} lie in a unit that followed theirs."
    )


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
            staff.invite(
                session,
                None,
                citizen_number=citizen_number,
                name=name,
                roles=[Grant(Role.ADMINISTRATOR)],
                vault=current.vault,
                at=current.now(),
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


@click.command("verify-audit")
@click.option("--expect", multiple=True, metavar="POSITION:HASH", help="Of the log, or of a note.")
@click.option("--checkpoint", is_flag=True, help="Sign the head of the chain, if all is well.")
@with_appcontext
def verify_audit(expect: tuple[str, ...], *, checkpoint: bool) -> None:
    """Prove that the audit log is as it was written; ends with 1 and names what is not."""
    keys = audit.AuditKeys.of(current.settings.audit_key_file)
    if keys is None:
        raise click.ClickException("AUDIT_KEY_FILE is needed, to check signatures")
    if checkpoint and not keys.can_sign:
        raise click.ClickException("AUDIT_KEY_FILE holds no private key to sign with")
    looked = audit.Verification(keys, dict(map(_expectation, expect)))
    try:
        with current.db.reading() as session:
            for fault in looked.faults(session, current.storage):
                click.echo(f"FAULT {fault.kind}: {fault}")
        with current.db.transaction() as session:
            audit.note_verification(session, looked, at=current.now())
        _tell(looked)
        if looked.found:
            raise click.exceptions.Exit(1)
        if checkpoint:
            _sign(keys)
    except DomainError as error:
        raise click.ClickException(str(error)) from error


def _expectation(text: str) -> tuple[int, bytes]:
    position, _, value = text.partition(":")
    try:
        return int(position), bytes.fromhex(value)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no POSITION:HASH") from None


def _tell(looked: audit.Verification) -> None:
    click.echo(f"Chained: {looked.chained} events; {looked.waiting} are not chained yet.")
    if signed := looked.guaranteed:
        click.echo(
            f"Guaranteed: events 1 to {signed.position} are as they were written, by the checkpoint"
            f" of {signed.at:%Y-%m-%d %H:%M:%S} UTC, key {signed.key_id}."
        )
    else:
        click.echo("Guaranteed: nothing; there is no checkpoint, or none before the first fault.")
    click.echo(f"Faults: {looked.found}.")


def _sign(keys: audit.AuditKeys) -> None:
    with current.db.transaction() as session:
        made = audit.sign_head(session, keys, at=current.now())
    if made is None:
        click.echo("Signed: nothing new.")
        return
    audit.copy_out([made], current.storage)
    click.echo(f"Signed: {made.position}:{made.hash.hex()}")


@click.command("retention")
@click.option("--dry-run", is_flag=True, help="Say what would go, and change nothing.")
@with_appcontext
def carry_out_retention(*, dry_run: bool) -> None:
    """Delete what has been kept for long enough; the nightly jobs do the same."""
    at = current.now()
    with current.db.reading() as session:
        undated = guardians.undated(session)
    if dry_run and undated:
        click.echo(f"{len(undated)} relations to children have no end yet and get it first")
    for child_id in () if dry_run else undated:
        try:
            with current.db.transaction() as session:
                guardians.give_end(session, child_id, vault=current.vault)
        except DomainError as error:
            click.echo(f"relation {child_id} has no end yet: {error}", err=True)
    for policy in retention.POLICIES:
        for sweep in policy.sweeps:
            if dry_run:
                with current.db.reading() as session:
                    found = retention.look(session, sweep, at=at)
                count = f"{found.rows}" if found.is_whole else f"more than {retention.LOOK_AT}"
                oldest = f", the oldest of {found.oldest:%Y-%m-%d}" if found.oldest else ""
                click.echo(f"{policy.name} ({sweep.kept.days} days): {count} due{oldest}")
                continue
            total, count = 0, retention.BATCH
            while count == retention.BATCH:
                with current.db.transaction() as session:
                    count = retention.carry_out(session, sweep, at=at)
                total += count
            click.echo(f"{policy.name} ({sweep.kept.days} days): {total} done")


def rows(name: str) -> Iterator[dict[str, str]]:
    """The lines of one reference file."""
    with (REFERENCE / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)
