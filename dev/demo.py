"""Invite the demo staff that the Thái Nguyên ID simulator knows: `python -m dev.demo`.

Repeatable: who was invited before gets the roles of today. Citizens need no row; they come into
being when they sign in.
"""

import httpx

from api.app import make_state
from api.clock import utc_now
from models import Role
from services.identity.people import invite
from settings import Settings


def main() -> None:
    settings = Settings.from_env()
    people = httpx.get(f"{settings.oidc_issuer}/demo/people", timeout=10).raise_for_status().json()
    state = make_state(settings, None, utc_now)
    staff = [person for person in people if person["roles"]]
    with state.db.transaction() as session:
        for person in staff:
            invite(
                session,
                person["citizen_number"],
                vault=state.vault,
                name=person["name"],
                roles=[role(text) for text in person["roles"]],
                at=utc_now(),
            )
    print(f"Demo: {len(staff)} staff invited, {len(people) - len(staff)} citizens known.")


def role(text: str) -> tuple[Role, str | None]:
    """A role as the simulator writes it: "handler:so-xay-dung" or "dispatcher"."""
    name, _, department = text.partition(":")
    return Role(name), department or None


if __name__ == "__main__":
    main()
