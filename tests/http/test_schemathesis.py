"""Generated requests, good and bad: no answer is a crash or strays from the contract."""

import pytest
import schemathesis
from hypothesis import given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from sqlalchemy import select

from dev import openapi
from models import InboxMessage, Visibility
from tests import factories

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
# Signing out would end the session that the others need; files and steps have tests of their own.
LEFT_OUT = {
    "POST /api/v1/auth/logout",
    "POST /api/v1/uploads",
    "PATCH /api/v1/uploads/tus/{upload_id}",
}
OPERATIONS = {
    f"{method.upper()} {path}": operation
    for path, item in openapi.document()["paths"].items()
    for method, operation in item.items()
    if method in {"get", "post", "put", "patch"} and f"{method.upper()} {path}" not in LEFT_OUT
}
# A request can be wrong where there is something to get wrong.
WITH_INPUT = [
    name
    for name, operation in OPERATIONS.items()
    if "requestBody" in operation
    or any(parameter["in"] == "query" for parameter in operation.get("parameters", []))
]
# Between them they may make every request of the staff.
ROLES = (("dispatcher", None), ("auditor", None), ("administrator", None))
few = settings(derandomize=True, deadline=None, max_examples=6, database=None)


@pytest.fixture
def things(session):
    """What there is to ask for: a published report of a citizen with a message, and a photo."""
    citizen = factories.a_citizen(session)
    report = factories.resolved(session, factories.a_report(session, citizen))
    report.visibility, report.public_text = Visibility.PUBLIC, "Ổ gà."
    session.commit()
    message = session.scalars(select(InboxMessage)).first()
    return {
        "citizen": citizen,
        "report_id": str(report.id),
        "message_id": str(message.id),
        "code": report.code,
        "old_code": "05443",
        "installation_id": "i" * 32,
        "purpose": "research",
        "person_id": str(factories.a_staff(session).id),
    }


@pytest.fixture
def people(app, session, things):
    return {
        "/api/v1/staff": factories.bearer(app, session, factories.a_staff(session, ROLES)),
        "/": factories.bearer(app, session, things["citizen"]),
    }


@pytest.fixture
def contract(app):
    return schemathesis.openapi.from_wsgi("/api/openapi.json", app)


@pytest.fixture
def requests_for(contract, people):
    """Generated requests of one operation, and the headers of somebody who may make them."""

    def make(name: str, mode: GenerationMode):
        path = name.split()[1]
        headers = next(people[prefix] for prefix in people if path.startswith(prefix))
        return contract.find_operation_by_label(name).as_strategy(generation_mode=mode), headers

    return make


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_right_request_is_answered_as_documented(requests_for, things, name):
    cases, headers = requests_for(name, GenerationMode.POSITIVE)

    @few
    @given(cases)
    def ask(case):
        case.call_and_validate(headers=headers, checks=CHECKS)
        case.path_parameters |= {key: things.get(key, key) for key in case.path_parameters}
        case.call_and_validate(headers=headers, checks=CHECKS)

    ask()


@pytest.mark.parametrize("name", WITH_INPUT)
def test_a_wrong_request_is_refused_as_documented(requests_for, name):
    cases, headers = requests_for(name, GenerationMode.NEGATIVE)

    @few
    @given(cases)
    def ask(case):
        case.call_and_validate(headers=headers, checks=[*CHECKS, negative_data_rejection])

    ask()
