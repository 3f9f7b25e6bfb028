"""ETag and If-Match of a thing that staff edit: the row's version (RFC 9110 section 8.8.3)."""

import re

from flask import Response, after_this_request, request

from services.errors import PreconditionNeeded, Stale

VERSION = re.compile("[0-9]{1,9}")
ANSWER = {"ETag": {"schema": {"type": "string"}, "description": "The row's version."}}
HEADER = {
    "in": "header",
    "name": "If-Match",
    "required": True,
    "schema": {"type": "string"},
    "description": "The ETag of what you saw.",
}


def send(version: int) -> None:
    """Give this answer the strong ETag of a row's version."""

    @after_this_request
    def add(response: Response) -> Response:
        response.set_etag(str(version))
        return response


def required_version() -> int:
    """The version that the caller saw.

    Raises:
        PreconditionNeeded: without If-Match, or with "*", which would promise nothing.
        Stale: an ETag that cannot be today's.
    """
    tags = request.if_match
    if not tags or tags.star_tag:
        raise PreconditionNeeded
    # A proxy that compresses an answer weakens its ETag; it names the same version all the same.
    versions = tags.as_set(include_weak=True)
    if len(versions) != 1:
        raise Stale
    (version,) = versions
    # Werkzeug reads an empty tag as None.
    if not VERSION.fullmatch(version or ""):
        raise Stale
    return int(version)
