"""Invite the demo staff that the Thái Nguyên ID simulator knows: `python -m dev.demo`.

Repeatable: who was invited before stays as they are. Citizens need no row; they come into being
when they sign in.
"""

from contextlib import suppress

import httpx

from api.app import make_state
from api.clock import utc_now
from models import Role
from services import staff
from services.identity.people import AlreadyStaff
from services.permissions import IN_USE, Grant
from settings import Settings


def main() -> None:
    settings = Settings.from_env()
    people = httpx.get(f"{settings.oidc_issuer}/demo/people", timeout=10).raise_for_status().json()
    state = make_state(settings, None, utc_now)
    invited = 0
    for person in people:
        roles = [grant for grant in map(as_grant, person["roles"]) if grant.role in IN_USE]
        if not roles:
            continue
        invited += 1
        with suppress(AlreadyStaff), state.db.transaction() as session:
            staff.invite(
                session,
                None,
                citizen_number=person["citizen_number"],
                name=person["name"],
                roles=roles,
                vault=state.vault,
                at=utc_now(),
            )
    print(f"Demo: {invited} staff invited, {len(people) - invited} other accounts known.")


def as_grant(text: str) -> Grant:
    """A role as the simulator writes it: "handler:so-xay-dung" or "dispatcher"."""
    name, _, department = text.partition(":")
    return Grant(Role(name), department or None)


if __name__ == "__main__":
    main()
