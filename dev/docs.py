"""Write the generated pages of docs/ anew: `make docs`. A test fails when one is out of date."""

from collections.abc import Callable
from pathlib import Path

from bench import report
from dev import openapi, state_diagram

FOLDER = Path(__file__).parent.parent / "docs"
PAGES: dict[str, Callable[[], str]] = {
    "openapi.json": openapi.text,
    "reports.md": state_diagram.text,
    # Its figures are those of the last `make bench`.
    "benchmarks.md": lambda: report.render(report.stored()),
}


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, text in PAGES.items():
        (FOLDER / name).write_text(text(), encoding="utf-8")
        print(f"docs/{name}")


if __name__ == "__main__":
    main()
