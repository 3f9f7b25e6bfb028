"""Signing in by Thái Nguyên ID: authorization code with PKCE, state and nonce."""

import base64
import datetime as dt
import hashlib
import hmac
import re
import secrets
import time
from dataclasses import astuple, dataclass
from http import HTTPStatus
from urllib.parse import urlencode

from flask import Blueprint, Response, make_response, redirect, request
from itsdangerous import BadData, URLSafeSerializer

from admin import door, page
from api.current import current
from api.requests import client_address
from services import identity, permissions
from services.errors import BadRequest, Forbidden

blp = Blueprint("sign_in", __name__)

COOKIE = "admin-login"
# Long enough to find a phone and read a card with it.
LIFE_S = 15 * 60
HOME = "/admin/"
# What one may return to is spelt out, so that no trick of spelling leads elsewhere.
RETURNS_TO = re.compile(
    r"/admin/(reports/[0-9a-f-]{36}|people(/new|/[0-9a-f-]{36})?|audit"
    r"|breaches/[0-9a-f-]{36}/notice|(data-requests|guardians|breaches|pauses)(/[0-9a-f-]{36})?)?"
    r"(\?[A-Za-z0-9_.=&%+-]*)?"
)


class SignInLost(BadRequest):
    """This sign-in has expired or was begun elsewhere; please start again."""

    vi = "Lần đăng nhập này đã hết hạn hoặc không bắt đầu từ trình duyệt này. Hãy đăng nhập lại."


class SignInDeclined(Forbidden):
    """You did not agree to sign in."""

    vi = "Bạn chưa đồng ý chia sẻ thông tin với trang cán bộ, nên chưa đăng nhập được."


class SignInFailed(BadRequest):
    """Thái Nguyên ID could not sign you in; please start again."""

    vi = "Thái Nguyên ID chưa đăng nhập được cho bạn. Hãy đăng nhập lại."


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one browser remembers between leaving for the provider and coming back."""

    state: str
    nonce: str
    verifier: str
    next: str
    until: int
    # By the machine's clock, which the provider's tokens are checked by too.
    begun: int


@blp.get("/login")
def login() -> Response:
    attempt = Attempt(
        state=secrets.token_urlsafe(24),
        nonce=secrets.token_urlsafe(24),
        verifier=secrets.token_urlsafe(48),
        next=safe_next(request.args.get("next", "")),
        until=int(current.now().timestamp()) + LIFE_S,
        begun=int(time.time()),
    )
    response = make_response(redirect(_authorization(attempt), HTTPStatus.SEE_OTHER))
    sealed = _sealer().dumps(astuple(attempt))
    door.set_cookie(response, COOKIE, sealed, LIFE_S)
    return response


@blp.get("/callback")
def callback() -> Response:
    """Where the provider sends the browser back to (RFC 6749 section 4.1.2).

    Raises:
        SignInLost, SignInDeclined, SignInFailed, RateLimited, CodeRefused, SignInTooOld,
        ProviderUnavailable, NotStaff
    """
    attempt = _remembered()
    if attempt is None or not _is_same(request.args.get("state", ""), attempt.state):
        raise SignInLost
    if not current.provider.names_itself_in(request.args.get("iss")):
        raise SignInFailed
    if error := request.args.get("error"):
        raise SignInDeclined if error == "access_denied" else SignInFailed
    with current.db.transaction() as session:
        identity.count_attempt(session, client_address(), at=current.now())
    # Outside of any transaction: a slow provider must not hold a connection.
    claims = current.provider.exchange(
        current.admin_client,
        code=request.args.get("code", ""),
        code_verifier=attempt.verifier,
        nonce=attempt.nonce,
        redirect_uri=_redirect_uri(),
        since=attempt.begun,
    )
    try:
        with current.db.transaction() as session:
            # Whoever enters ends what lay in this browser before; who is refused changes nothing.
            identity.leave_admin(session, door.secret(), at=current.now())
            secret = identity.enter_admin(session, claims, vault=current.vault, at=current.now())
    except identity.NotStaff:
        with current.db.transaction() as session:
            identity.note_refusal(session, claims, "view", at=current.now())
        raise
    response = make_response(redirect(attempt.next, HTTPStatus.SEE_OTHER))
    door.admit(response, secret)
    return response


@blp.after_request
def forget_attempt(response: Response) -> Response:
    """An attempt is good for one return, whatever came of it."""
    if request.endpoint == "admin.sign_in.callback":
        door.drop_cookie(response, COOKIE)
    return response


@blp.post("/logout")
def logout() -> Response:
    with current.db.transaction() as session:
        identity.leave_admin(session, door.secret(), at=current.now())
    response = make_response(redirect("/admin/signed-out", HTTPStatus.SEE_OTHER))
    door.dismiss(response)
    return response


@blp.get("/signed-out")
def signed_out() -> str:
    return page.render("signed_out.html")


def asked_again(max_age: dt.timedelta, *, back: str) -> Response | None:
    """The page that wants a fresh sign-in before what is grave; None where the last is recent.

    Signing in leads back to the page `back`, where the deed can be done.
    """
    if is_recent(max_age):
        return None
    html = page.render("again.html", max_age=max_age, back=back)
    return make_response(html, HTTPStatus.UNAUTHORIZED)


def is_recent(max_age: dt.timedelta) -> bool:
    """Whether whoever is here signed in not longer than `max_age` ago."""
    visit = door.visit()
    return permissions.is_recent(visit.acr, visit.auth_time, max_age=max_age, at=current.now())


def safe_next(wanted: str) -> str:
    """`wanted` where it is a page of this view, otherwise the queue."""
    return wanted if RETURNS_TO.fullmatch(wanted) else HOME


def _authorization(attempt: Attempt) -> str:
    challenge = hashlib.sha256(attempt.verifier.encode()).digest()
    settings = current.settings
    query = {
        "response_type": "code",
        "client_id": settings.oidc_admin_client_id,
        "redirect_uri": _redirect_uri(),
        "scope": " ".join(settings.oidc_scopes),
        "acr_values": settings.oidc_level_2,
        "state": attempt.state,
        "nonce": attempt.nonce,
        "code_challenge": base64.urlsafe_b64encode(challenge).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
        # Our session ends after half an hour without work; the provider's longer one must not
        # bring it back by a click of whoever sits down next. With max_age the provider has to say
        # when the password was typed, and the callback looks whether that was now.
        "prompt": "login",
        "max_age": "0",
    }
    endpoint = current.provider.authorization_endpoint()
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"


def _remembered() -> Attempt | None:
    sealed = request.cookies.get(door.cookie_name(COOKIE), "")
    try:
        attempt = Attempt(*_sealer().loads(sealed))
    except BadData:
        return None
    return attempt if current.now().timestamp() < attempt.until else None


def _is_same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())


def _sealer() -> URLSafeSerializer:
    return URLSafeSerializer(current.keys.mac("admin-login", b""), salt=COOKIE)


def _redirect_uri() -> str:
    return f"{current.settings.public_url}/admin/callback"
