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

from dev import openapi
from tests import factories

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
# Signing out would end the session that the others need; files and steps have tests of their own.
LEFT_OUT = {"POST /api/v1/auth/logout", "POST /api/v1/uploads"}
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
few = settings(derandomize=True, deadline=None, max_examples=10, database=None)


@pytest.fixture
def people(app, session):
    """A citizen with a report and a message, and a dispatcher."""
    citizen = factories.a_citizen(session)
    factories.a_report(session, citizen)
    return {
        "/api/v1/staff": factories.bearer(app, session, factories.a_staff(session)),
        "/": factories.bearer(app, session, citizen),
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
def test_a_right_request_is_answered_as_documented(requests_for, name):
    cases, headers = requests_for(name, GenerationMode.POSITIVE)

    @few
    @given(cases)
    def ask(case):
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
