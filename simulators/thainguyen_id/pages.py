"""What people see: sign-in, consent and sign-out, all of it working without JavaScript."""

from urllib.parse import urlencode, urlsplit

from authlib.oauth2 import OAuth2Error
from authlib.oidc.core.errors import ConsentRequiredError
from flask import Blueprint, Response, abort, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from simulators.thainguyen_id import sessions
from simulators.thainguyen_id.claims import words_for
from simulators.thainguyen_id.people import normalise_login
from simulators.thainguyen_id.provider import CodeGrant, current_provider
from simulators.thainguyen_id.store import ATTEMPT_SECONDS, Login

SEE_OTHER = 303  # After a form, so that the browser does not post it again (RFC 9700 4.12).

Answer = AnyResponse | str | tuple[str, int] | tuple[str, int, dict[str, str]]

pages = Blueprint("pages", __name__)


@pages.get("/authorize")
def authorize() -> Answer:
    """The authorization endpoint (OIDC Core 3.1.2): sign-in, then consent, then the code."""
    login, grant = _request_and_login()
    if login is None:
        return _login_page(grant)
    if grant.request.payload.data.get("prompt") == "none":
        return _answer_silently(grant, login)
    return _consent_page(grant, login)


@pages.post("/authorize")
def authorize_by_form() -> Answer:
    """The same request may come as a form (OIDC Core 3.1.2.1); it goes on as a link.

    The browser sends no session cookie with a form of another site, but does with the link.
    """
    query = urlencode(list(request.form.items(multi=True)))
    return redirect(f"{url_for('pages.authorize')}?{query}", SEE_OTHER)


@pages.post("/authorize/login")
def log_in() -> Answer:
    sessions.check_csrf_token()
    provider = current_provider()
    grant = provider.get_consent_grant()
    typed = request.form.get("username", "")
    person = provider.directory.find(typed)
    # By person, not by what was typed, or each of a person's three names gave new tries.
    account = person.username if person else normalise_login(typed)
    if provider.attempts.too_many(account):
        page = _login_page(grant, typed, error="too_many")
        return page, 429, {"Retry-After": str(ATTEMPT_SECONDS)}
    if person is None or not person.has_password(request.form.get("password", "")):
        provider.attempts.fail(account)
        return _login_page(grant, typed, error="wrong"), 401
    sessions.sign_in(person)
    return _back_to_request()


@pages.post("/authorize/consent")
def consent() -> Answer:
    sessions.check_csrf_token()
    login, grant = _request_and_login()
    if login is None:
        return _back_to_request()
    decision = request.form.get("decision")
    if decision not in {"allow", "deny"}:
        abort(400, "Hãy chọn Đồng ý hoặc Từ chối.")
    sessions.forget_answer()
    if decision == "deny":
        return _answer(grant, None)
    current_provider().store.remember_consent(login.person, grant.client, grant.request.scope)
    return _answer(grant, login)


@pages.route("/end-session", methods=["GET", "POST"])
def end_session() -> Answer:
    """RP-initiated logout: at once with an ID token, else after a question to the person."""
    provider = current_provider()
    try:
        asked = provider.validate_endpoint_request("end_session")
    except ValueError:
        # An unreadable hint may bring a description that Authlib itself refuses to carry.
        abort(400, "Yêu cầu đăng xuất không hợp lệ.")
    if asked.needs_confirmation:
        if request.method == "GET" or "csrf_token" not in request.form:
            return render_template(
                "sign_out.html", action=f"{request.path}?{sessions.this_query()}"
            )
        sessions.check_csrf_token()
    return provider.create_endpoint_response("end_session", asked) or render_template(
        "signed_out.html"
    )


@pages.errorhandler(OAuth2Error)
def refuse(error: OAuth2Error) -> Answer:
    """Tell the client, but only at an address that was checked; else tell the person."""
    if not error.redirect_uri:
        return render_template("error.html", message=None, code=error.error), 400
    provider = current_provider()
    response = provider.handle_error_response(None, error)
    provider.issuer_parameter.add_issuer_parameter(provider, response)
    response.status_code = SEE_OTHER
    return response


@pages.after_request
def protect(response: Response) -> Response:
    """No scripts, no frames, no copies; forms may lead here and on to the client only.

    Browsers apply `form-action` to the redirect after the form too, so the client is named.
    """
    targets = " ".join(["'self'", *g.get("form_targets", [])])
    response.headers["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'; "
        f"form-action {targets}"
    )
    response.headers["Cache-Control"] = "no-store"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


def _request_and_login() -> tuple[Login | None, CodeGrant]:
    """The checked request and its login: None if the person has to sign in (again) for it."""
    login = sessions.current_login()
    if login and _is_too_old(login) and not sessions.has_answered():
        login = None
    grant = current_provider().get_consent_grant(end_user=login)
    if grant.prompt in {"login", "select_account"} and not sessions.has_answered():
        login = None
    return login, grant


def _is_too_old(login: Login) -> bool:
    max_age = request.args.get("max_age", "")
    age = current_provider().clock() - login.auth_time
    # A malformed number is refused by name once the redirect URI is known to be the client's.
    return max_age.isascii() and max_age.isdigit() and age > int(max_age)


def _login_page(grant: CodeGrant, typed: str = "", error: str | None = None) -> str:
    _allow_form_target(grant.redirect_uri)
    return render_template(
        "login.html",
        action=_action("pages.log_in"),
        client=grant.client,
        typed=typed or grant.request.payload.data.get("login_hint", ""),
        error=error,
    )


def _consent_page(grant: CodeGrant, login: Login) -> str:
    _allow_form_target(grant.redirect_uri)
    others = [(k, v) for k, v in request.args.items(multi=True) if k != "prompt"]
    return render_template(
        "consent.html",
        action=_action("pages.consent"),
        other_account=f"{url_for('pages.authorize')}?{urlencode([*others, ('prompt', 'login')])}",
        client=grant.client,
        person=login.person,
        data=words_for(login.person, grant.request.scope),
    )


def _answer_silently(grant: CodeGrant, login: Login) -> AnyResponse:
    """`prompt=none` shows nothing, so it needs a consent given before (OIDC Core 3.1.2.1)."""
    if current_provider().store.has_consented(login.person, grant.client, grant.request.scope):
        return _answer(grant, login)
    raise ConsentRequiredError(redirect_uri=grant.redirect_uri, state=grant.request.payload.state)


def _answer(grant: CodeGrant, login: Login | None) -> AnyResponse:
    response = current_provider().create_authorization_response(
        grant.request, grant_user=login, grant=grant
    )
    response.status_code = SEE_OTHER
    return response


def _back_to_request() -> AnyResponse:
    return redirect(f"{url_for('pages.authorize')}?{sessions.this_query()}", SEE_OTHER)


def _action(endpoint: str) -> str:
    return f"{url_for(endpoint)}?{sessions.this_query()}"


def _allow_form_target(redirect_uri: str) -> None:
    parts = urlsplit(redirect_uri)
    g.form_targets = [f"{parts.scheme}://{parts.netloc}" if parts.netloc else f"{parts.scheme}:"]
