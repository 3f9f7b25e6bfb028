"""Write the reference files of administrative units from the package vietnamadminunits.

The files hold facts of Decision 19/2025/QĐ-TTg and of the units it replaced: codes, names, which
old commune went into which unit of today, and the centres of the old communes. They are
committed; this script runs only when the facts change, in an environment of its own that has
`vietnamadminunits` 1.0.4 (MIT) installed:

    python -m dev.reference
"""

import csv
import importlib.util
import json
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

PROVINCE = "19"
OLD_PROVINCES = ("06", "19")
TARGET = Path(__file__).parent.parent / "reference"
KINDS = {"Phường": "phuong", "Xã": "xa", "Thị trấn": "thi_tran"}


def main() -> None:
    spec = importlib.util.find_spec("vietnamadminunits")
    if spec is None or spec.origin is None:
        raise SystemExit("Install vietnamadminunits==1.0.4 first.")
    data = Path(spec.origin).parent / "data"
    database = sqlite3.connect(f"file:{data / 'dataset.db'}?mode=ro", uri=True)
    database.row_factory = sqlite3.Row
    converter = json.loads((data / "converter_2025.json").read_text("utf-8"))

    today = database.execute(
        "SELECT * FROM admin_units WHERE provinceCode = ? ORDER BY wardCode", (PROVINCE,)
    ).fetchall()
    old = database.execute(
        "SELECT * FROM admin_units_legacy WHERE provinceCode IN (?, ?) ORDER BY wardCode",
        OLD_PROVINCES,
    ).fetchall()
    write("places.csv", ("code", "name", "full_name", "kind", "level"), places(today))
    write(
        "legacy_places.csv",
        ("code", "full_name", "district_code", "district", "province", "lat", "lng"),
        legacy_places(old),
    )
    write("legacy_pairs.csv", ("old_code", "new_code", "is_default"), pairs(today, old, converter))


def places(today: list[sqlite3.Row]) -> Iterator[tuple[object, ...]]:
    yield PROVINCE, today[0]["provinceShort"], today[0]["province"], "tinh", 1
    for row in today:
        yield row["wardCode"], row["wardShort"], row["ward"], KINDS[row["wardType"]], 2


def legacy_places(old: list[sqlite3.Row]) -> Iterator[tuple[object, ...]]:
    for row in old:
        if row["ward"]:
            yield (
                row["wardCode"],
                row["ward"],
                row["districtCode"],
                row["district"],
                row["province"],
                row["wardLat"],
                row["wardLon"],
            )


def pairs(
    today: list[sqlite3.Row], old: list[sqlite3.Row], converter: dict[str, Any]
) -> Iterator[tuple[object, ...]]:
    new_codes = {row["wardKey"]: row["wardCode"] for row in today}
    province = today[0]["provinceKey"]
    whole = {
        old_key: new_key
        for new_key, old_keys in converter["DICT_PROVINCE_WARD_NO_DIVIDED"][province].items()
        for old_key in old_keys
    }
    divided = converter["DICT_PROVINCE_WARD_DIVIDED"][province]
    for row in old:
        key = f"{row['provinceKey']}_{row['districtKey']}_{row['wardKey']}"
        if key in whole:
            yield row["wardCode"], new_codes[whole[key]], 1
        for part in divided.get(key, ()):
            yield row["wardCode"], new_codes[part["newWardKey"]], int(part["isDefaultNewWard"])


def write(name: str, header: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> None:
    with (TARGET / name).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


if __name__ == "__main__":
    main()
