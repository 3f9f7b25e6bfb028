"""Asking for what is somebody else's takes no longer than asking for what does not exist."""

import statistics
import time
import uuid

import pytest

from api.current import EXTENSION
from services import feedback
from tests import factories

ROUNDS = 60
MOST_MS = 5
ASKED = {
    "read a report": ("GET", "/api/v1/reports/{}", {}),
    "rate a report": ("POST", "/api/v1/reports/{}/rating", {"json": {"score": 5}}),
    "read a photo": ("GET", "/api/v1/uploads/{}", {}),
    "end a child's relation": ("DELETE", "/api/v1/me/children/{}", {}),
    "appeal": ("POST", "/api/v1/me/pauses/{}/appeal", {"json": {"text": "Tôi phản đối."}}),
}


@pytest.fixture
def others(app, session):
    """The ids of what somebody else has, by what is asked of it."""
    other = factories.a_citizen(session)
    report = factories.resolved(session, factories.a_report(session, other))
    photo = factories.an_upload(session, other, app.extensions[EXTENSION].storage)
    child = factories.a_child(session, other)
    dispatcher = factories.a_staff(session).actor
    pause = feedback.pause_reporter(
        session, dispatcher, report.id, days=2, reason="x", at=factories.NOON
    )
    session.commit()
    return dict(zip(ASKED, (report.id, report.id, photo, child, pause.id), strict=True))


@pytest.mark.parametrize("what", ASKED)
def test_a_refusal_sends_the_database_the_same_whether_there_is_one_or_not(
    client, headers, others, statements, what
):
    method, path, sent = ASKED[what]
    seen = []
    # The first request reads what the next ones remember.
    for asked in (uuid.uuid4(), others[what], uuid.uuid4()):
        with statements() as sent_to_it:
            client.open(path.format(asked), method=method, headers=headers, **sent)
        # Savepoints of the tests have numbers.
        seen.append([each for each in sent_to_it if "SAVEPOINT" not in each])

    assert seen[1] == seen[2] != []


@pytest.mark.alone
@pytest.mark.parametrize("what", ASKED)
def test_the_time_of_a_refusal_does_not_tell_whether_there_is_one(client, headers, others, what):
    method, path, sent = ASKED[what]
    took: dict[str, list[float]] = {"other": [], "none": []}

    # By turns, so that whatever else the machine does delays both.
    for turn in range(ROUNDS + 5):
        for whose, asked in (("other", others[what]), ("none", uuid.uuid4())):
            start = time.perf_counter()
            answer = client.open(path.format(asked), method=method, headers=headers, **sent)
            if turn >= 5:
                took[whose].append((time.perf_counter() - start) * 1000)
            assert answer.status_code == 404

    other, none = (statistics.median(times) for times in took.values())
    assert abs(other - none) < MOST_MS
