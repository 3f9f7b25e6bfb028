"""Sign in as a demo person and print the access token: `python -m dev.token dan01`."""

import argparse

from dev.config import Config
from dev.journey import App, failing_in_one_line


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m dev.token", description=__doc__)
    parser.add_argument("username", help="as GET /demo/people of the ID simulator lists them")
    parser.add_argument("--url", help="by default this machine at PORT, as `make run` has it")
    parser.add_argument("--staff", action="store_true", help="a token for the staff API")
    arguments = parser.parse_args()
    audience = "staff" if arguments.staff else "citizen"
    with (
        failing_in_one_line(),
        App(arguments.url or Config.from_env().url(), arguments.username, audience) as app,
    ):
        app.sign_in()
        print(app.http.headers["Authorization"].removeprefix("Bearer "))


if __name__ == "__main__":
    main()
