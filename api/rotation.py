"""`flask --app wsgi rotate-keys`: from former keys to the current ones (docs/backup.md)."""

import time
from typing import Any

import click
from flask.cli import with_appcontext

from api.current import current
from services import keyring
from services.errors import DomainError
from services.vault import DATA, INDEX

# Who holds a row lets go of it within seconds; the command asks again for half a minute.
PASSES, PAUSE_S = 30, 1.0
TOLD_EVERY_S = 2.0
VARIABLES = {DATA: "DATA_KEYS", INDEX: "INDEX_KEYS"}
REASONS = {
    "no number": "have no sealed number to make an index from, until that person signs in again",
    "unreadable": "do not open",
    "waiting": "were held by somebody",
}


@click.command("rotate-keys")
@click.option("--dry-run", is_flag=True, help="Change nothing; tell how many rows have which key.")
@with_appcontext
def rotate_keys(*, dry_run: bool) -> None:
    """Bring every row to the first key of DATA_KEYS and of INDEX_KEYS.

    Repeatable, and safe while people sign in; ends with 1 when rows stay with a former key.
    """
    with current.db.reading() as session:
        wrong = keyring.faults(session, vault=current.vault).wrong
    for purpose, key_id in wrong:
        click.echo(f"{VARIABLES[purpose]} {key_id}: not the key that was used under this number")
    if wrong:
        raise click.exceptions.Exit(1)
    try:
        standing = _rotate_all(dry_run=dry_run)
    except DomainError as error:
        raise click.ClickException(str(error)) from error
    _tell(standing, dry_run=dry_run)
    if standing.left and not dry_run:
        raise click.exceptions.Exit(1)


def _rotate_all(*, dry_run: bool) -> keyring.Standing:
    """The end of it is a look at all rows that found nothing more to do."""
    for _ in range(PASSES):
        standing = keyring.Standing()
        for table in keyring.keepers():
            standing.add(_rotate(table, dry_run=dry_run))
        held = any(reason == "waiting" for _, _, reason in standing.left)
        if dry_run or not (held or standing.changed):
            break
        time.sleep(PAUSE_S if held else 0)
    return standing


def _rotate(table: Any, *, dry_run: bool) -> keyring.Standing:
    """One way through a table; each step is committed by itself."""
    standing, after, told = keyring.Standing(), None, time.monotonic()
    while True:
        with current.db.transaction() as session:
            step, after = keyring.rotate(
                session, table, after=after, vault=current.vault, dry_run=dry_run
            )
        standing.add(step)
        if after is None or time.monotonic() - told > TOLD_EVERY_S:
            told = time.monotonic()
            counts = ", ".join(
                f"{VARIABLES[purpose]} {key_id}: {count}"
                for (purpose, key_id), count in sorted(standing.rows.items())
            )
            looked = f"{standing.looked} rows looked at, {standing.changed} changed"
            click.echo(f"{table.__tablename__}: {looked}; {counts}")
        if after is None:
            return standing


def _tell(standing: keyring.Standing, *, dry_run: bool) -> None:
    """What every key is still needed for, and why."""
    known = set(current.vault.checks) | set(standing.rows)
    currents = {(DATA, current.vault.data_key_id), (INDEX, current.vault.index_key_id)}
    for purpose, key_id in sorted(known):
        words = [f"{standing.rows[purpose, key_id]} rows"]
        if (purpose, key_id) in currents:
            words.append("the current key")
        elif (purpose, key_id) not in current.vault.checks:
            words.append("not among the keys that are here")
        elif not standing.rows[purpose, key_id]:
            words.append("may be taken away")
        for reason, text in REASONS.items():
            if count := standing.left[purpose, key_id, reason]:
                told = "would change" if dry_run and reason == "waiting" else text
                words.append(f"{count} {told}")
        click.echo(f"{VARIABLES[purpose]} {key_id}: {'; '.join(words)}")
