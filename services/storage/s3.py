"""Photos in an S3-compatible store.

Where it is and who asks it is left to boto3's own variables: AWS_ENDPOINT_URL_S3, AWS_REGION,
AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
"""

import contextlib
import datetime as dt
import itertools
import os
import re
import threading
from collections.abc import Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import boto3.session
import structlog
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from services.storage.base import StorageUnavailable

if TYPE_CHECKING:  # Types of its own package, which is only there in development.
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectTypeDef

log = structlog.get_logger()

TURN_S = 1.0
CONNECT_S, READ_S, ATTEMPTS = 2.0, 5.0, 2
# nginx follows a link at once; the rest is for clocks that differ.
LINK_LIFE_S = 300
# As many as one deletion may name, and as one page of a list has.
BATCH = 1000
# The region whose buckets are made without naming it, and that stands in where none is set.
NAMELESS_REGIONS = {"us-east-1", "aws-global"}
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
KEY = re.compile(r"(?!\.\.?(/|$))[\w.-]+(/(?!\.\.?(/|$))[\w.-]+)*", re.ASCII)


# A store that sends every question elsewhere makes boto3 ask until the stack is full.
FAILURES = (BotoCoreError, ClientError, ResponseParserError, RecursionError)


class S3Storage:
    """A bucket, or what lies under `prefix` in it.

    The store's answer to each call is waited for; `at_once` calls of a process wait at the same
    time, and one more for its turn. So a slow store cannot take all threads of a web process.
    """

    def __init__(self, bucket: str, prefix: str = "", *, at_once: int = 10) -> None:
        if not BUCKET.fullmatch(bucket) or (prefix and not KEY.fullmatch(prefix)):
            raise ValueError("STORAGE_URL names no bucket, or a prefix that is no path")
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._turns = threading.Semaphore(at_once)
        # boto3 itself reads AWS_DEFAULT_REGION only, other than AWS's own tools and servers.
        session = boto3.session.Session(region_name=os.environ.get("AWS_REGION") or None)
        if session.get_credentials() is None:
            raise ValueError("STORAGE_URL is s3: but AWS_ACCESS_KEY_ID … say nothing of who asks")
        self._s3: S3Client = session.client(
            "s3",
            config=Config(
                connect_timeout=CONNECT_S,
                read_timeout=READ_S,
                retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
                max_pool_connections=at_once,
                # The old signatures and the newest checksums are what compatible stores lack.
                signature_version="s3v4",
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                # A bucket as a part of the host's name would need a name for each bucket.
                s3={"addressing_style": "path"},
            ),
        )

    def put(self, key: str, content: bytes) -> None:
        with self._asking():
            self._s3.put_object(Bucket=self._bucket, Key=self._key(key), Body=content)

    def get(self, key: str) -> bytes:
        with self._asking():
            try:
                found = self._s3.get_object(Bucket=self._bucket, Key=self._key(key))
            except self._s3.exceptions.NoSuchKey as error:
                raise FileNotFoundError(key) from error
            with contextlib.closing(found["Body"]) as body:
                return body.read()

    def behind_nginx(self, key: str) -> str:
        """The path and query of a signed link (AWS Signature Version 4), below `s3`."""
        link = self._s3.generate_presigned_url(
            "get_object",
            Params={"Bucket": self._bucket, "Key": self._key(key)},
            ExpiresIn=LINK_LIFE_S,
        )
        parts = urlsplit(link)
        return f"s3{parts.path}?{parts.query}"

    def delete(self, key: str) -> None:
        with self._asking():
            self._s3.delete_object(Bucket=self._bucket, Key=self._key(key))

    def delete_all(self, prefix: str) -> None:
        found = self._listed(self._key(prefix) + "/")
        while batch := list(itertools.islice(found, BATCH)):
            with self._asking():
                answer = self._s3.delete_objects(
                    Bucket=self._bucket,
                    Delete={"Objects": [{"Key": each["Key"]} for each in batch], "Quiet": True},
                )
            # The status is 200 even where nothing could be deleted.
            if errors := answer.get("Errors"):
                log.warning("storage_unavailable", kind=errors[0].get("Code"))
                raise StorageUnavailable(retry_after=5)

    def is_nearly_full(self) -> bool:
        """Never: whoever runs the store watches its room."""
        return False

    def names(self, folder: str) -> Iterator[str]:
        prefix = self._key(folder) + "/"
        for each in self._listed(prefix):
            name = each["Key"].removeprefix(prefix)
            if "/" not in name:
                yield name

    def untouched_since(self, moment: dt.datetime) -> Iterator[str]:
        """The store lists keys in their order, so those with the same first part come together."""
        start = len(self._prefix)
        grouped = itertools.groupby(
            self._listed(self._prefix), key=lambda each: each["Key"][start:].partition("/")[0]
        )
        for name, objects in grouped:
            if all(each["LastModified"] < moment for each in objects):
                yield name

    def prepare(self) -> None:
        """Make the bucket, unless it is there; buckets are private unless somebody says else."""
        region = self._s3.meta.region_name
        with self._asking():
            if self._has_bucket():
                return
            with contextlib.suppress(self._s3.exceptions.BucketAlreadyOwnedByYou):
                if region in NAMELESS_REGIONS:
                    self._s3.create_bucket(Bucket=self._bucket)
                else:
                    self._s3.create_bucket(
                        Bucket=self._bucket,
                        CreateBucketConfiguration={"LocationConstraint": region},  # type: ignore[typeddict-item]  # the stubs list AWS's own regions
                    )

    def _has_bucket(self) -> bool:
        try:
            self._s3.head_bucket(Bucket=self._bucket)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] != HTTPStatus.NOT_FOUND:
                raise
            return False
        return True

    def _listed(self, prefix: str) -> "Iterator[ObjectTypeDef]":
        """All objects whose keys begin so, asked for page by page."""
        pages = iter(
            self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
        )
        while True:
            with self._asking():
                page = next(pages, None)
            if page is None:
                return
            yield from page.get("Contents", ())

    def _key(self, key: str) -> str:
        if not KEY.fullmatch(key):
            raise ValueError("a storage key left its folder")
        return self._prefix + key

    @contextlib.contextmanager
    def _asking(self) -> Iterator[None]:
        """One's turn; what goes wrong on the way becomes StorageUnavailable."""
        if not self._turns.acquire(timeout=TURN_S):
            raise StorageUnavailable(retry_after=2)
        try:
            yield
        except FAILURES as error:
            log.warning("storage_unavailable", kind=_kind(error))
            raise StorageUnavailable(retry_after=5) from error
        finally:
            self._turns.release()


def _kind(error: Exception) -> str:
    """The store's word for it, or the library's; never a message, which may quote addresses."""
    code = error.response["Error"].get("Code") if isinstance(error, ClientError) else None
    return code or type(error).__name__
