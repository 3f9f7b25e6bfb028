"""The browser's session: who signed in, for which request, and the token of its forms."""

import hashlib
import secrets
from hmac import compare_digest
from urllib.parse import urlencode

from flask import abort, request, session

from simulators.thainguyen_id.people import Person
from simulators.thainguyen_id.provider import current_provider
from simulators.thainguyen_id.store import Login

SESSION_SECONDS = 8 * 3600


def this_query() -> str:
    """The authorization request as it came, to be carried through the forms."""
    return urlencode(list(request.args.items(multi=True)))


def sign_in(person: Person) -> None:
    """Start afresh, so that nothing planted before the sign-in survives it."""
    session.clear()
    session["username"] = person.username
    session["auth_time"] = int(current_provider().clock())
    session["answered"] = _query_digest()


def current_login() -> Login | None:
    provider = current_provider()
    person = provider.directory.find(session.get("username", ""))
    auth_time = session.get("auth_time", 0)
    if person is None or provider.clock() - auth_time > SESSION_SECONDS:
        return None
    return Login(person, auth_time)


def has_answered() -> bool:
    """Whether the person signed in for this very request, as `prompt=login` wants it."""
    return session.get("answered") == _query_digest()


def forget_answer() -> None:
    session.pop("answered", None)


def csrf_token() -> str:
    return session.setdefault("csrf_token", secrets.token_urlsafe(24))


def check_csrf_token() -> None:
    expected = session.get("csrf_token", "")
    given = request.form.get("csrf_token", "")
    if not expected or not compare_digest(expected.encode(), given.encode()):
        abort(400, "Biểu mẫu đã hết hạn. Hãy quay lại ứng dụng và đăng nhập lại.")


def _query_digest() -> str:
    """Short, because a cookie that grows with the request would be dropped by the browser."""
    return hashlib.sha256(this_query().encode()).hexdigest()
