"""docs/architecture.md says how far it is from an address to SQL; this walks the way and counts."""

import sys
import traceback
from pathlib import Path

import pytest
from sqlalchemy import event

from tests import factories

ROOT = Path(__file__).parent.parent
LAYERS = ("api/routes/", "services/")
REPORT = {"category": "giao-thong", "description": "Ổ gà sâu.", **factories.CITY}


@pytest.fixture
def depths(engine):
    """For each statement, how many calls of ours lie between the view and SQL, both counted."""
    seen = []

    def note(*_statement):
        names = [str(Path(frame.filename)) for frame in traceback.extract_stack(sys._getframe())]
        ours = [name for name in names if name.startswith(str(ROOT))]
        inner = [name for name in ours if name.removeprefix(f"{ROOT}/").startswith(LAYERS)]
        if any("api/routes/" in name for name in inner):
            seen.append(len(inner))

    event.listen(engine, "before_cursor_execute", note)
    yield seen
    event.remove(engine, "before_cursor_execute", note)


@pytest.mark.parametrize(
    "path",
    ["/reports", "/reports/{id}", "/me", "/me/inbox", "/public/reports", "/places", "/config"],
)
def test_a_read_is_view_service_query(app, client, session, depths, path):
    citizen = factories.a_citizen(session)
    report = factories.a_report(session, citizen)
    headers = factories.bearer(app, session, citizen)

    answer = client.get(f"/api/v1{path.format(id=report.id)}", headers=headers)

    assert answer.status_code == 200
    assert 1 < max(depths) <= 3


def test_a_write_with_its_photos_notice_and_audit_is_no_longer(app, client, session, depths):
    headers = factories.bearer(app, session, factories.a_citizen(session))

    client.post("/api/v1/reports", json=REPORT, headers=headers | {"Idempotency-Key": "1"})

    assert len(depths) > 5
    assert max(depths) <= 3
