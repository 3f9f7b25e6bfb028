"""Stands for `docker compose exec|run … database` where no container engine is.

`python bubble.py FILE …`, where FILE says in JSON what an engine reads in compose.yaml. The command
is the first process of a container of its own, so that whatever it started ends with it; it sees
the mounts and variables of the service, those that it is handed by `--env`, and nothing else.
"""

import argparse
import json
import os
import sys
from pathlib import Path


def main() -> None:
    service = json.loads(Path(sys.argv[1]).read_text())
    parser = argparse.ArgumentParser(prog="docker")
    parser.add_argument("compose", choices=["compose"])
    does = parser.add_subparsers(dest="does", required=True)
    for each in (does.add_parser("exec"), does.add_parser("run")):
        each.add_argument("-T", action="store_true", required=True)
        each.add_argument("--env", action="append", default=[])
        each.add_argument("service", choices=["database"])
        each.add_argument("command", nargs=argparse.REMAINDER)
    does.choices["run"].add_argument("--rm", action="store_true", required=True)
    does.choices["run"].add_argument("--no-deps", action="store_true", required=True)
    asked = parser.parse_args(sys.argv[2:])
    variables = service["variables"] | dict(each.split("=", 1) for each in asked.env)
    uid, gid = service["user"]
    os.setgroups(service["groups"])
    os.setgid(gid)
    os.setuid(uid)
    settings = [part for each in variables.items() for part in ("--setenv", *each)]
    confined = ["--unshare-all", "--as-pid-1", "--die-with-parent", "--cap-drop", "ALL"]
    inside = [*service["mounts"], "--remount-ro", "/", "--chdir", "/", "--clearenv", *settings]
    os.execvp("bwrap", ["bwrap", *confined, *inside, *asked.command])  # noqa: S606, S607


if __name__ == "__main__":
    main()
