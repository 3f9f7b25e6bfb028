"""The contract: it is valid, it is the committed one, and it is what the code does."""

import re
import uuid
from pathlib import Path

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

from api.blueprint import Blueprint
from dev import openapi

ROOT = Path(__file__).parents[2]
METHODS = ("get", "post", "put", "patch", "delete")
PUBLIC = {
    ("GET", "/.well-known/jwks.json"),
    ("GET", "/api/v1/auth/config"),
    ("GET", "/api/v1/config"),
    ("GET", "/api/v1/files/{signed}"),
    ("GET", "/api/v1/places"),
    ("GET", "/api/v1/places/legacy/{old_code}"),
    ("GET", "/api/v1/places/resolve"),
    ("GET", "/api/v1/places/{code}"),
    ("GET", "/api/v1/public/reports"),
    ("GET", "/api/v1/public/reports/{code}"),
    ("GET", "/api/v1/report-categories"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("POST", "/api/v1/auth/login"),
    ("POST", "/api/v1/auth/refresh"),
}
# What is served beside the API; each has a door of its own or needs none.
BESIDE = re.compile(r"/admin(/.*)?|/api/(docs|openapi\.json|static/<path:filename>)")


def operations() -> dict[tuple[str, str], dict]:
    """Of the committed contract."""
    document = openapi.document()
    return {
        (method.upper(), path): operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    }


OPERATIONS = operations()


def routes(app) -> set[tuple[str, str]]:
    """Of the API's blueprints, written as the contract writes them."""
    return {
        (method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule))
        for rule in app.url_map.iter_rules()
        if isinstance(app.blueprints.get(rule.endpoint.rpartition(".")[0]), Blueprint)
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }


def address(path: str) -> str:
    """`path` with something well-formed in each gap."""
    return re.sub(r"\{\w+\}", str(uuid.UUID(int=7)), path)


def test_the_contract_is_valid_openapi():
    validate(openapi.document(), cls=OpenAPIV31SpecValidator)


def test_the_committed_contract_is_that_of_the_code():
    committed = (ROOT / "docs" / "openapi.json").read_text("utf-8")

    assert committed == openapi.text(), "Run `make docs`."


def test_the_application_serves_the_contract(client):
    answer = client.get("/api/openapi.json")

    assert answer.json == openapi.document()


def test_the_contract_names_every_route_and_no_other(app):
    assert routes(app) == set(OPERATIONS)


def test_nothing_else_is_served_unnoticed(app):
    api = {
        rule.rule
        for rule in app.url_map.iter_rules()
        if isinstance(app.blueprints.get(rule.endpoint.rpartition(".")[0]), Blueprint)
    }

    others = {rule.rule for rule in app.url_map.iter_rules()} - api
    assert not [rule for rule in others if not BESIDE.fullmatch(rule)]


def test_these_operations_are_public_and_no_others():
    public = {key for key, operation in OPERATIONS.items() if operation.get("security") == []}

    assert public == PUBLIC


@pytest.mark.parametrize(("method", "path"), sorted(PUBLIC))
def test_a_public_operation_asks_for_no_token(client, method, path):
    answer = client.open(address(path), method=method, json={} if method == "POST" else None)

    assert answer.status_code != 401


@pytest.mark.parametrize(("method", "path"), sorted(OPERATIONS.keys() - PUBLIC))
def test_every_other_operation_asks_for_one(client, method, path):
    answer = client.open(address(path), method=method)

    assert (answer.status_code, answer.json["code"]) == (401, "token_invalid")


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=map(" ".join, OPERATIONS))
def test_an_operation_is_described(operation):
    assert operation["summary"]
    assert not operation["summary"].endswith(".")
    assert "default" in operation["responses"]


def test_every_problem_in_the_contract_has_the_one_shape():
    for operation in OPERATIONS.values():
        for status, answer in operation["responses"].items():
            if status.startswith(("4", "5")):
                content = answer.get("content", {"application/problem+json": None})
                assert list(content) == ["application/problem+json"]


def test_the_page_for_people_shows_every_operation(client):
    page = client.get("/api/docs").text

    for method, path in OPERATIONS:
        heading = rf'<h2><span class="{method.lower()}">{method}</span> {re.escape(path)}</h2>'
        assert re.search(heading, page), f"{method} {path}"


def test_the_page_for_people_needs_no_script(client):
    answer = client.get("/api/docs")

    assert not re.search(r"<script|<style|\sstyle=|\son\w+=|javascript:", answer.text)
    policy = answer.headers["Content-Security-Policy"].split("; ")
    assert {"default-src 'none'", "style-src 'self'"} <= set(policy)
    assert not [part for part in policy if "unsafe" in part or part.startswith("script")]


def test_every_link_on_the_page_leads_somewhere(client):
    page = client.get("/api/docs").text

    anchors = set(re.findall(r'href="#([^"]+)"', page))
    assert "Problem" in anchors
    assert anchors <= set(re.findall(r'id="([^"]+)"', page))
    for link in re.findall(r'href="(/[^"]*)"', page):
        assert client.get(link, buffered=True).status_code == 200
