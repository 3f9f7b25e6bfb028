"""S3 stores for tests: one that works, one that says too much, and two that are of no use."""

import contextlib
import hashlib
import hmac
import socket
import threading
import time
from collections.abc import Iterator
from urllib.parse import parse_qsl, quote

import boto3
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.server import ThreadedMotoServer
from werkzeug.serving import make_server

from tests.processes import free_port

ACCESS_KEY, SECRET_KEY = "AKIATESTS", "a-secret-that-only-tests-know"
REGION = "us-east-1"


def variables(url: str) -> dict[str, str]:
    """What tells boto3 of a store, and keeps this machine's own configuration out."""
    return {
        "AWS_ENDPOINT_URL_S3": url,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_REGION": REGION,
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }


@contextlib.contextmanager
def moto() -> Iterator[str]:
    """Yield the address of a store without any bucket."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        yield "http://{}:{}".format(*server.get_host_and_port())
    finally:
        server.stop()


def client(url: str):
    """The tests' own way to look into a store."""
    return boto3.client(
        "s3",
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
    )


@contextlib.contextmanager
def silent() -> Iterator[str]:
    """Yield the address of a store that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def closed() -> str:
    """The address of a store that is not there."""
    return f"http://127.0.0.1:{free_port()}"


class Gossip:
    """A store on a port of its own that checks links' signatures and says too much.

    Moto does its work; it checks no signatures, so this tells whether nginx sends what was signed.
    """

    HEADERS = (
        ("Content-Type", "text/html"),
        ("Content-Disposition", "attachment; filename=evil.html"),
        ("Cache-Control", "public, max-age=31536000"),
        ("Expires", "Mon, 23 Nov 2037 03:00:00 GMT"),
        ("Set-Cookie", "store=cookie"),
        ("ETag", '"of-the-store"'),
        ("Last-Modified", "Mon, 23 Nov 2026 03:00:00 GMT"),
        ("Accept-Ranges", "bytes"),
        ("Location", "http://127.0.0.1:1/elsewhere"),
        ("Vary", "Origin"),
        ("X-Request-Id", "of-the-store"),
        ("X-Accel-Redirect", "/api/v1/me"),
        ("Content-Security-Policy", "default-src *"),
        ("Access-Control-Allow-Origin", "*"),
        ("Strict-Transport-Security", "max-age=1"),
        ("Server", "of-the-store"),
        ("x-amz-request-id", "of-the-store"),
        ("x-amz-id-2", "of-the-store"),
        ("x-amz-version-id", "of-the-store"),
        ("x-amz-server-side-encryption", "AES256"),
        ("x-amz-checksum-crc32", "AAAAAA=="),
        ("x-amz-replication-status", "COMPLETED"),
        ("x-minio-deployment-id", "of-the-store"),
        ("x-rgw-object-type", "Normal"),
    )
    XML = b"<Error><Code>OfTheStore</Code></Error>"

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.links: list[dict[str, str]] = []
        self.status = ""
        self.silence_s = 0.0
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._server = None

    def open(self) -> None:
        self._server = make_server("127.0.0.1", self.port, self, threaded=True)
        threading.Thread(target=self._server.serve_forever).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def __call__(self, environ, start_response):
        if "X-Amz-Signature" not in environ["QUERY_STRING"]:
            return self._moto(environ, start_response)
        self.links.append(environ)
        time.sleep(self.silence_s)
        status = self.status or ("" if is_signed(environ) else "403 Forbidden")
        if status:
            start_response(status, [*self.HEADERS, ("Content-Length", str(len(self.XML)))])
            return [self.XML]

        def say_too_much(status, headers, *arguments):
            own = {name.lower() for name, _ in self.HEADERS}
            rest = [(name, value) for name, value in headers if name.lower() not in own]
            return start_response(status, [*rest, *self.HEADERS], *arguments)

        return self._moto(environ, say_too_much)


def is_signed(environ: dict[str, str]) -> bool:
    """Whether a link's signature is right, reckoned by AWS's own description of version 4."""
    query = dict(parse_qsl(environ["QUERY_STRING"]))
    signature = query.pop("X-Amz-Signature", "")
    if query.get("X-Amz-SignedHeaders") != "host":
        return False
    request = "\n".join(
        [
            environ["REQUEST_METHOD"],
            environ["PATH_INFO"],
            "&".join(f"{quote(name, '')}={quote(query[name], '')}" for name in sorted(query)),
            f"host:{environ['HTTP_HOST']}\n",
            "host",
            "UNSIGNED-PAYLOAD",
        ]
    )
    _, date, region, service, kind = query["X-Amz-Credential"].split("/")
    scope = f"{date}/{region}/{service}/{kind}"
    digest = hashlib.sha256(request.encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{query['X-Amz-Date']}\n{scope}\n{digest}"
    key = f"AWS4{SECRET_KEY}".encode()
    for part in (date, region, service, kind, text):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.compare_digest(key.hex(), signature)
