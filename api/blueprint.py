"""flask-smorest's Blueprint with this project's habits: strict JSON, and who may enter."""

from collections.abc import Callable
from typing import Any, TypeVar

from flask import Request
from flask_smorest import Blueprint as SmorestBlueprint
from webargs import missing
from webargs.flaskparser import FlaskParser
from werkzeug.datastructures import CombinedMultiDict

from api.json import JSON_LIMIT, BodyTooLarge, Malformed, load
from models import Audience
from services.errors import BadRequest, UnsupportedMedia

View = TypeVar("View", bound=Callable[..., Any])


class MalformedJson(BadRequest):
    """The body is not the JSON we accept: {reason}."""

    vi = "Nội dung gửi lên không phải JSON hợp lệ: {reason}."


class NotJson(UnsupportedMedia):
    """Send the body as application/json."""

    vi = "Nội dung phải gửi dạng application/json."


class Parser(FlaskParser):
    """Reads JSON by api.json, and multipart bodies with text and files together."""

    def load_json(self, req: Request, schema: Any) -> Any:  # noqa: ARG002 - as webargs calls it
        if not req.content_length:
            return missing
        if not req.is_json:
            raise NotJson
        body = req.get_data(cache=True)
        try:
            value = load(body)
        except Malformed as error:
            raise MalformedJson(reason=str(error)) from error
        if len(body) > JSON_LIMIT:
            raise BodyTooLarge(limit_kb=JSON_LIMIT // 1024)
        return value

    def load_multipart(self, req: Request, schema: Any) -> Any:
        return self._makeproxy(CombinedMultiDict([req.form, req.files]), schema)

    __location_map__ = {**FlaskParser.__location_map__, "multipart": "load_multipart"}  # noqa: RUF012


class Blueprint(SmorestBlueprint):
    """A slice's routes; `audience` says whose access tokens they take."""

    ARGUMENTS_PARSER = Parser()
    DEFAULT_LOCATION_CONTENT_TYPE_MAPPING = {  # noqa: RUF012 - as the base class has it
        **SmorestBlueprint.DEFAULT_LOCATION_CONTENT_TYPE_MAPPING,
        "multipart": "multipart/form-data",
    }

    def __init__(self, *args: Any, audience: Audience = Audience.CITIZEN, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.audience = audience

    def arguments(self, schema: Any, **options: Any) -> Any:
        """As in the base class; a schema's class is made an instance once, not at each request."""
        return super().arguments(schema() if isinstance(schema, type) else schema, **options)


def public(view: View) -> View:
    """Mark a view that needs no sign-in; a test lists all of them by name."""
    view.is_public = True  # type: ignore[attr-defined]
    view._apidoc = {  # type: ignore[attr-defined]  # noqa: SLF001 - where flask-smorest keeps its notes
        **getattr(view, "_apidoc", {}),
        "manual_doc": {**getattr(view, "_apidoc", {}).get("manual_doc", {}), "security": []},
    }
    return view


def any_audience(view: View) -> View:
    """Mark a view that takes access tokens of citizens and of staff alike."""
    view.takes_any_audience = True  # type: ignore[attr-defined]
    return view


def takes_bodies_up_to(size: int, *, or_else: Callable[[], Exception]) -> Callable[[View], View]:
    """Let a view take bodies of `size` bytes instead of 64 KiB; larger ones raise `or_else()`."""

    def mark(view: View) -> View:
        view.body_limit = size  # type: ignore[attr-defined]
        view.too_large = or_else  # type: ignore[attr-defined]
        return view

    return mark
