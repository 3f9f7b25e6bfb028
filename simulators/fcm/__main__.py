"""`python -m simulators.fcm --port 8003 --service-account .data/fcm.json`."""

import argparse
import logging
import os
from pathlib import Path

from simulators.fcm.app import SERVICE_ACCOUNT_VARIABLE
from simulators.fcm.service_account import write_service_account
from simulators.serve import serve

# A hanging message holds a thread, and a batch may well hang as a whole.
THREADS = 64


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m simulators.fcm", description=__doc__)
    parser.add_argument("--port", type=int, default=8003)
    parser.add_argument("--service-account", type=Path, required=True, metavar="FILE")
    args = parser.parse_args()
    if not args.service_account.exists():
        write_service_account(args.service_account, f"http://127.0.0.1:{args.port}/token")
    # Granian warns of more threads than a busy server should have; these mostly wait.
    logging.getLogger("_granian").addFilter(_not_about_threads)
    # The worker is another process and makes the application itself.
    os.environ[SERVICE_ACCOUNT_VARIABLE] = str(args.service_account)
    serve("simulators.fcm.app:create_app", args.port, threads=THREADS)


def _not_about_threads(record: logging.LogRecord) -> bool:
    return "Python threads" not in record.getMessage()


if __name__ == "__main__":
    main()
