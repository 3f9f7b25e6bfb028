"""The demo people: invented, and the same at every start, so that scripts may name them."""

import datetime as dt
import hashlib
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from hmac import compare_digest

LEVEL_1 = "urn:thainguyen:loa:1"  # A phone number was confirmed.
LEVEL_2 = "urn:thainguyen:loa:2"  # The chip of the identity card was read.

CITIZENS = 30
CITIZENS_AT_LEVEL_2 = 24

STAFF: dict[str, list[str]] = {
    "dieuphoi1": ["dispatcher"],
    "dieuphoi2": ["dispatcher"],
    "xuly1": ["handler:so-xay-dung"],
    "xuly2": ["handler:so-xay-dung"],
    "xuly3": ["handler:so-nong-nghiep-va-moi-truong"],
    "lanhdao1": ["leader:so-xay-dung"],
    "truyenthong1": ["communicator"],
    "yte1": ["health_clerk"],
    "yte2": ["health_manager"],
    "cho1": ["market_manager"],
    "canhbao1": ["alert_editor"],
    "quantri1": ["administrator"],
    "kiemtra1": ["auditor"],
}

FAMILY_NAMES = (
    "Nguyễn", "Trần", "Lê", "Hoàng", "Ma", "Nông", "Lý", "Dương", "Triệu", "Phạm", "Vũ", "Lương",
)  # fmt: skip
MIDDLE_NAMES = {
    "male": ("Văn", "Đức", "Quang", "Minh", "Hữu"),
    "female": ("Thị", "Thu", "Ngọc", "Thanh", "Minh"),
}
GIVEN_NAMES = {
    "male": (
        "An", "Bình", "Cường", "Dũng", "Hải", "Hùng", "Khánh", "Long", "Nam", "Sơn", "Tuấn",
    ),
    "female": (
        "Anh", "Chi", "Dung", "Hà", "Hạnh", "Hoa", "Lan", "Mai", "Nga", "Phương", "Yến",
    ),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Person:
    username: str
    name: str
    gender: str
    birthdate: str
    citizen_number: str
    phone: str
    acr: str
    roles: tuple[str, ...]

    @property
    def password(self) -> str:
        """Public on purpose: whoever starts the demo must be able to sign in as anyone."""
        return f"matkhau-{self.username}"

    def has_password(self, given: str) -> bool:
        return compare_digest(_digest(self.password), _digest(given))

    def as_demo_account(self) -> dict[str, object]:
        return {**asdict(self), "roles": list(self.roles), "password": self.password}


class Directory:
    """Finds a person by whatever they may type into the login form."""

    def __init__(self, people: Iterable[Person]) -> None:
        self.people = tuple(people)
        self._by_login = {
            login: person
            for person in self.people
            for login in (person.username, person.phone, person.citizen_number)
        }

    def find(self, typed: str) -> Person | None:
        return self._by_login.get(normalise_login(typed))


def normalise_login(typed: str) -> str:
    """Accept numbers the way people write them: with blanks, dots or the country code."""
    login = re.sub(r"[\s.\-]", "", typed).lower()
    return re.sub(r"^(\+84|0084)", "0", login)


def demo_people() -> list[Person]:
    citizens = [
        _person(
            index,
            username=f"dan{index:02}",
            born_from=1950,
            years=57,
            acr=LEVEL_2 if index <= CITIZENS_AT_LEVEL_2 else LEVEL_1,
        )
        for index in range(1, CITIZENS + 1)
    ]
    staff = [
        _person(index, username=username, born_from=1972, years=26, acr=LEVEL_2, roles=roles)
        for index, (username, roles) in enumerate(STAFF.items(), start=CITIZENS + 1)
    ]
    return citizens + staff


def _person(
    index: int, *, username: str, born_from: int, years: int, acr: str, roles: Iterable[str] = ()
) -> Person:
    gender = "male" if index % 2 else "female"
    born = dt.date(born_from + index * 7 % years, 1 + index * 5 % 12, 1 + index * 11 % 28)
    return Person(
        username=username,
        name=_name(index, gender),
        gender=gender,
        birthdate=born.isoformat(),
        citizen_number=_citizen_number(index, gender, born.year),
        phone=f"09{index:08}",
        acr=acr,
        roles=tuple(roles),
    )


def _name(index: int, gender: str) -> str:
    family = FAMILY_NAMES[index * 5 % len(FAMILY_NAMES)]
    middle = MIDDLE_NAMES[gender][index // 2 % len(MIDDLE_NAMES[gender])]
    given = GIVEN_NAMES[gender][index // 2 % len(GIVEN_NAMES[gender])]
    return f"{family} {middle} {given}"


def _citizen_number(index: int, gender: str, year: int) -> str:
    """Province of birth, sex and century, year, serial (Circular 59/2021/TT-BCA, article 4).

    The serial is above what a province ever gives out in a year, so the number is nobody's.
    """
    province = "019" if index % 3 else "006"  # Thái Nguyên and the former Bắc Kạn.
    sex_and_century = (year // 100 - 19) * 2 + (gender == "female")
    return f"{province}{sex_and_century}{year % 100:02}{990000 + index}"


def _digest(text: str) -> bytes:
    """Equal lengths, so that a comparison tells nothing by its time."""
    return hashlib.sha256(text.encode()).digest()
