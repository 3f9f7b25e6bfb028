"""python -m simulators.thainguyen_id --port 8001."""

import os
import secrets
import sys

from simulators.arguments import port_from_arguments
from simulators.serve import serve
from simulators.thainguyen_id.app import ISSUER_VARIABLE, KEY_VARIABLES, SECRET_VARIABLES


def main() -> None:
    """Settle the configuration in the environment, which the serving process inherits."""
    port = port_from_arguments("simulators.thainguyen_id", 8001)
    issuer = os.environ.setdefault(ISSUER_VARIABLE, f"http://127.0.0.1:{port}")
    sys.stdout.write(f"Thái Nguyên ID (mô phỏng): {issuer}\n")
    for client_id, variable in SECRET_VARIABLES.items():
        if not os.environ.get(variable) and not os.environ.get(KEY_VARIABLES[client_id]):
            os.environ[variable] = secrets.token_urlsafe(32)
            sys.stdout.write(f"{client_id}: {variable}={os.environ[variable]}\n")
    sys.stdout.flush()
    serve("simulators.thainguyen_id.app:create_app", port)


if __name__ == "__main__":
    main()
