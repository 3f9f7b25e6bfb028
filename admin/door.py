"""The door of the staff view: the session cookie, who may pass, and whose forms are taken."""

import hmac
from http import HTTPStatus
from typing import cast
from urllib.parse import urlencode, urlsplit

from flask import Response, g, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from api.current import current
from services import feedback, identity
from services.errors import Forbidden, Unauthenticated
from services.identity import AdminVisit

# Endpoints that need no session: the door itself and the files every page is dressed with.
OPEN = frozenset(
    {
        "admin.static",
        "admin.sign_in.login",
        "admin.sign_in.callback",
        "admin.sign_in.signed_out",
    }
)
# What a page asks for by itself must not keep a session alive in an empty office.
BACKGROUND = frozenset({"admin.queue.newer"})
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class SessionNeeded(Unauthenticated):
    """Please sign in again; what you sent was not saved."""

    vi = "Phiên làm việc đã kết thúc. Vui lòng đăng nhập lại; nội dung vừa gửi chưa được lưu."


class FormNotOurs(Forbidden):
    """This form does not come from a page of this session; nothing was changed."""

    vi = (
        "Biểu mẫu này không thuộc phiên làm việc hiện tại nên không có gì thay đổi. "
        "Hãy quay lại, tải lại trang rồi gửi lại."
    )


def guard() -> AnyResponse | None:
    """Let in who has a session; send the others to sign in, back to where they wanted to go.

    Raises:
        SessionNeeded: for a form, and for what the page fetches by itself.
        FormNotOurs
    """
    if request.endpoint in OPEN:
        return None
    visit = _known()
    if visit is None:
        if request.method not in SAFE_METHODS or "HX-Request" in request.headers:
            raise SessionNeeded
        query = urlencode({"next": request.full_path.rstrip("?")})
        return redirect(f"/admin/login?{query}", HTTPStatus.SEE_OTHER)
    g.visit = visit
    if request.method not in SAFE_METHODS and not _is_our_form(visit):
        raise FormNotOurs
    return None


def visit() -> AdminVisit:
    """Who is here, in a view behind the guard."""
    return cast("AdminVisit", g.visit)


def csrf_token() -> str:
    return _token(visit())


def secret() -> str:
    return request.cookies.get(cookie_name("admin"), "")


def admit(response: Response, secret: str) -> None:
    set_cookie(response, "admin", secret)


def dismiss(response: Response) -> None:
    drop_cookie(response, "admin")


def cookie_name(name: str) -> str:
    """The __Host- prefix lets no other host and no plain http set it (RFC 6265bis 4.1.3.2)."""
    return f"__Host-{name}" if _is_https() else name


def set_cookie(response: Response, name: str, value: str, max_age: int | None = None) -> None:
    response.set_cookie(
        cookie_name(name),
        value,
        max_age=max_age,
        path=_path(),
        secure=_is_https(),
        httponly=True,
        samesite="Lax",
    )


def drop_cookie(response: Response, name: str) -> None:
    response.delete_cookie(
        cookie_name(name), path=_path(), secure=_is_https(), httponly=True, samesite="Lax"
    )


def _known() -> AdminVisit | None:
    found = secret()
    if not found:
        return None
    # Reading keeps nothing, so the time of the last visit stays as it was.
    opened = current.db.reading() if request.endpoint in BACKGROUND else current.db.transaction()
    with opened as session:
        visit = identity.visit_admin(session, found, at=current.now())
        # Here, where a transaction is open anyway: the navigation of every page shows it, also of
        # one that tells of a failure.
        if visit is not None and request.endpoint not in BACKGROUND:
            g.open_appeals = feedback.open_appeals(session, visit.actor)
    return visit


def _is_our_form(visit: AdminVisit) -> bool:
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}:
        return False
    origin = request.headers.get("Origin")
    if origin is not None and origin.lower() != _own_origin():
        return False
    return hmac.compare_digest(request.form.get("csrf", "").encode(), _token(visit).encode())


def _token(visit: AdminVisit) -> str:
    return current.keys.mac("csrf", visit.session_hash).hex()


def _own_origin() -> str:
    parts = urlsplit(current.settings.public_url)
    return f"{parts.scheme}://{parts.netloc}".lower()


def _is_https() -> bool:
    return current.settings.public_url.startswith("https:")


def _path() -> str:
    return "/" if _is_https() else "/admin"
