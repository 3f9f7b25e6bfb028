"""What a scope gives away, as claims for the client and as words for the consent page."""

import base64
import datetime as dt
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass

from simulators.thainguyen_id.people import LEVEL_2, Person

# Fixed, so that subjects stay the same over restarts; it protects nobody, the people are invented.
DEMO_SALT = b"thainguyen-id demo salt"
# One sector for all clients of one backend, which therefore see the same subject (OIDC Core 8.1).
SECTOR = "c-thainguyen"

GENDERS = {"male": "Nam", "female": "Nữ"}


@dataclass(frozen=True)
class Datum:
    """One fact about a person, under its claim name and under the name people know it by."""

    claim: str
    label: str
    value: Callable[[Person], str]
    shown: Callable[[Person], str]


def _vietnamese_date(person: Person) -> str:
    return dt.date.fromisoformat(person.birthdate).strftime("%d/%m/%Y")


def _masked(number: str) -> str:
    return f"{number[:3]}{'•' * (len(number) - 6)}{number[-3:]}"


DATA_BY_SCOPE: dict[str, tuple[Datum, ...]] = {
    "profile": (
        Datum("name", "Họ và tên", lambda p: p.name, lambda p: p.name),
        Datum("birthdate", "Ngày sinh", lambda p: p.birthdate, _vietnamese_date),
        Datum("gender", "Giới tính", lambda p: p.gender, lambda p: GENDERS[p.gender]),
    ),
    "phone": (
        Datum("phone_number", "Số điện thoại", lambda p: p.phone, lambda p: _masked(p.phone)),
    ),
    "citizen_id": (
        Datum(
            "citizen_number",
            "Số định danh cá nhân",
            lambda p: p.citizen_number,
            lambda p: _masked(p.citizen_number),
        ),
    ),
}
SCOPES = ("openid", *DATA_BY_SCOPE)


def subject(person: Person) -> str:
    """An identifier that reveals nothing and differs between sectors (OIDC Core 8.1)."""
    message = f"{SECTOR}|{person.username}".encode()
    mac = hmac.new(DEMO_SALT, message, hashlib.sha256).digest()
    return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()


def claims_for(person: Person, scope: str) -> dict[str, str]:
    """The claims of the granted scopes, the subject always among them (OIDC Core 5.4)."""
    return {"sub": subject(person)} | {
        datum.claim: datum.value(person) for datum in _data_of(scope)
    }


def words_for(person: Person, scope: str) -> list[tuple[str, str]]:
    """The same as label and value, long numbers masked: the page may be read over a shoulder."""
    level = "Mức 2, đã xác thực thẻ căn cước" if person.acr == LEVEL_2 else "Mức 1, số điện thoại"
    return [(datum.label, datum.shown(person)) for datum in _data_of(scope)] + [
        ("Mức định danh", level)
    ]


def _data_of(scope: str) -> list[Datum]:
    asked = scope.split()
    return [datum for name, data in DATA_BY_SCOPE.items() if name in asked for datum in data]
