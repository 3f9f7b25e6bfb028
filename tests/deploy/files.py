"""What the Dockerfile and compose.yaml say."""

import json
import re
from collections.abc import Mapping
from typing import Any

import yaml

from tests.processes import ROOT

DOCKERFILE = ROOT / "Dockerfile"
COMPOSE = ROOT / "compose.yaml"
# ${NAME}, ${NAME:-default}, ${NAME:?what is missing}; $$ is a dollar.
VARIABLE = re.compile(r"\$(?:(?P<dollar>\$)|\{(?P<name>\w+)(?::(?P<kind>[-?])(?P<rest>[^}]*))?\})")


def instructions() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile, each in one line."""
    lines = [line for line in DOCKERFILE.read_text().splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in joined.split("\n"))]


def copied() -> list[tuple[str, list[str], str]]:
    """What is copied into the folder of the product: from which stage, what, to where."""
    found, stage = [], ""
    for name, rest in instructions():
        if name == "FROM":
            stage = rest.rpartition(" AS ")[2]
        elif name == "COPY" and stage == "build":
            origin = re.match(r"--from=(\S+) ", rest)
            *sources, target = rest[origin.end() if origin else 0 :].split()
            found.append((origin[1] if origin else "", sources, target))
    return found


def compose(env: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The compose file; with `env`, its variables are filled in as compose does it."""
    content = yaml.safe_load(COMPOSE.read_text())
    return content if env is None else _filled(content, env)


def _filled(value: Any, env: Mapping[str, str]) -> Any:
    def one(match: re.Match[str]) -> str:
        if match["dollar"]:
            return "$"
        given = env.get(match["name"], "")
        if not given and match["kind"] == "?":
            raise KeyError(match["name"])
        return given or (match["rest"] if match["kind"] == "-" else "")

    if isinstance(value, dict):
        return {name: _filled(each, env) for name, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, env) for each in value]
    return VARIABLE.sub(one, value) if isinstance(value, str) else value


def rendered(environment: Mapping[str, str]) -> str:
    """nginx.conf as the image of nginx makes it of the template.

    Its script hands envsubst the list of all variables that are defined, empty ones too, so that
    nginx's own variables stay.
    """
    known = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
    template = (ROOT / "deploy" / "nginx.conf.template").read_text()
    return known.sub(
        lambda match: environment.get(match[1] or match[2], match[0]),
        template,
    )


def dockerignore() -> list[str]:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def image_environment() -> dict[str, str]:
    """The variables that the image sets."""
    (words,) = [rest for name, rest in instructions() if name == "ENV"]
    found = dict(word.split("=", 1) for word in words.split())
    return found | {"PATH": found["PATH"].replace("$PATH", "/usr/local/bin:/usr/sbin:/usr/bin")}


def image_command() -> list[str]:
    (command,) = [json.loads(rest) for name, rest in instructions() if name == "CMD"]
    return command
