"""What goes wrong under /admin becomes a page; the numbers are those of the JSON API."""

from urllib.parse import urlsplit

from flask import Flask, Response, g, make_response, request

from admin import labels, page
from api import errors
from api.current import current
from services.errors import DomainError

# Browsers hold form-action against redirects too: the filter form of somebody whose session has
# ended leads to the provider.
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self' {provider}; base-uri 'none'; frame-ancestors 'none'"
)


def init_app(app: Flask) -> None:
    app.after_request(dress)


def handle_domain_error(error: DomainError) -> Response:
    errors.alarm(error)
    status = errors.status_of(error)
    response = problem_page(status, labels.message(error))
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    return response


def problem_page(status: int, text: str | None = None) -> Response:
    title, usual = labels.problem(status)
    html = page.render(
        "problem.html",
        title=title,
        text=text or usual,
        request_id=g.get("request_id"),
    )
    return make_response(html, status)


def dress(response: Response) -> Response:
    """Give every answer under /admin its headers, and make a page of a problem document.

    An address that no view has, a wrong method and a failure belong to no blueprint, so the API's
    handlers answer them: they know the status and have written the log.
    """
    if request.path != "/admin" and not request.path.startswith("/admin/"):
        return response
    if response.mimetype == errors.PROBLEM:
        response = _as_page(response)
    provider = urlsplit(current.provider.where_browsers_go())
    response.headers["Content-Security-Policy"] = POLICY.format(
        provider=f"{provider.scheme}://{provider.netloc}"
    )
    # The API's no-referrer would make browsers send "Origin: null" with our own forms.
    response.headers["Referrer-Policy"] = "same-origin"
    if request.endpoint != "admin.static" and "Cache-Control" not in response.headers:
        response.headers["Cache-Control"] = "no-store"
    return response


def _as_page(problem: Response) -> Response:
    response = problem_page(problem.status_code)
    for name in ("Allow", "Retry-After"):
        if name in problem.headers:
            response.headers[name] = problem.headers[name]
    return response
