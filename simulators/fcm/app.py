"""The Flask application of the FCM simulator."""

import json
import os
from datetime import datetime, timedelta, timezone
from pathlib import Path
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from flask import Blueprint, Flask, Response, current_app, jsonify, render_template, request
from flask.typing import ResponseReturnValue

from simulators.fcm import faults, oauth, rules
from simulators.fcm.answers import field_error, google_error
from simulators.fcm.state import State

SERVICE_ACCOUNT_VARIABLE = "FCM_SIMULATOR_SERVICE_ACCOUNT"
MAX_REQUEST_BYTES = 64 * 1024
PHONES_ON_PAGE = 100
VIETNAM = timezone(timedelta(hours=7))

bp = Blueprint("fcm", __name__)


def create_app(
    *,
    public_key: RSAPublicKey | None = None,
    client_email: str = "",
    token_uri: str = oauth.GOOGLE_TOKEN_URI,
    project_id: str = "c-thainguyen-demo",
    token_seconds: int = 3600,
) -> Flask:
    """Make a simulator for one account; without a key, for the one the environment names."""
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = MAX_REQUEST_BYTES
    app.extensions["fcm_account"] = (
        oauth.Account(public_key, client_email, token_uri, project_id)
        if public_key
        else _account_of(Path(os.environ[SERVICE_ACCOUNT_VARIABLE]))
    )
    app.extensions["fcm_state"] = State(token_seconds=token_seconds)
    app.jinja_env.filters["vietnam_time"] = _vietnam_time
    app.register_blueprint(bp)
    return app


def _account_of(path: Path) -> oauth.Account:
    """Read a service account file; of its private key only the public half is kept."""
    file = json.loads(path.read_text())
    key = load_pem_private_key(file["private_key"].encode(), password=None)
    if not isinstance(key, RSAPrivateKey):
        raise TypeError(f"the key in {path.name} is not an RSA key")
    return oauth.Account(
        key.public_key(), file["client_email"], file["token_uri"], file["project_id"]
    )


def _state() -> State:
    state: State = current_app.extensions["fcm_state"]
    return state


def _account() -> oauth.Account:
    account: oauth.Account = current_app.extensions["fcm_account"]
    return account


def _vietnam_time(moment: str) -> str:
    return datetime.fromisoformat(moment).astimezone(VIETNAM).strftime("%d/%m/%Y %H:%M:%S")


@bp.after_app_request
def set_security_headers(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'"
    )
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "no-store"
    return response


@bp.post("/token")
def token() -> ResponseReturnValue:
    fault = _state().take_fault("token", "token")
    if fault and (response := faults.misbehave(fault, _state())):
        return response
    try:
        oauth.check_grant(request.form.to_dict(), _account())
    except oauth.GrantRefused as refusal:
        return {"error": refusal.error, "error_description": str(refusal)}, 400
    return {
        "access_token": _state().new_token(),
        "expires_in": _state().token_seconds,
        "token_type": "Bearer",
    }


def _refusal_of_sender(project: str) -> Response | None:
    """Give the 401 or 403 for a caller who may not send for this project."""
    scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not _state().token_is_good(bearer):
        return google_error(401, "UNAUTHENTICATED", "Request had invalid credentials.")
    if project != _account().project_id:
        return google_error(403, "PERMISSION_DENIED", "The caller may not use this project.")
    return None


@bp.post("/v1/projects/<project>/messages:send")
def send(project: str) -> ResponseReturnValue:
    if refusal := _refusal_of_sender(project):
        return refusal
    try:
        message, deliver = rules.check_request(request.get_json(force=True, silent=True))
    except rules.Refused as refused:
        return field_error(refused.field, str(refused))
    kind, value = rules.target_of(message)
    fault = _state().take_fault("send", value)
    if fault and (response := faults.misbehave(fault, _state())):
        return response
    if deliver:
        _state().deliver(kind, value, message)
    if fault and fault.status == "reset_after_accept":
        return faults.reset()
    return {"name": f"projects/{project}/messages/{uuid4()}"}


@bp.post("/v1/projects/<project>/registrations/<device>/topicSubscriptions")
def subscribe(project: str, device: str) -> ResponseReturnValue:
    if refusal := _refusal_of_sender(project):
        return refusal
    topic = request.args.get("topic_name", "")
    if not rules.TOPIC.fullmatch(topic):
        return field_error("topic_name", "is not the name of a topic")
    if not _state().subscribe(device, topic):
        return google_error(409, "ALREADY_EXISTS", "The device is subscribed already.")
    return {"name": f"projects/{project}/registrations/{device}/topicSubscriptions/{topic}"}


@bp.delete("/v1/projects/<project>/registrations/<device>/topicSubscriptions/<topic>")
def unsubscribe(project: str, device: str, topic: str) -> ResponseReturnValue:
    if refusal := _refusal_of_sender(project):
        return refusal
    known = _state().unsubscribe(device, topic)
    if not known and request.args.get("allow_missing") != "true":
        return google_error(404, "NOT_FOUND", "The device is not subscribed.")
    return {}


@bp.post("/demo/faults")
def add_fault() -> ResponseReturnValue:
    _state().add_fault(faults.parse_fault(request.get_json()))
    return "", 204


@bp.delete("/demo/faults")
def clear_faults() -> ResponseReturnValue:
    _state().clear_faults()
    return "", 204


@bp.delete("/demo/tokens")
def revoke_tokens() -> ResponseReturnValue:
    """Make every access token handed out so far worthless, so that the next send gets a 401."""
    _state().revoke_tokens()
    return "", 204


@bp.get("/demo/phones")
def list_phones() -> ResponseReturnValue:
    return jsonify(_state().phones())


@bp.delete("/demo/phones")
def forget_phones() -> ResponseReturnValue:
    _state().forget_phones()
    return "", 204


@bp.get("/demo/phones/<path:value>")
def phone(value: str) -> ResponseReturnValue:
    return jsonify(_state().messages(value))


@bp.get("/")
def page() -> ResponseReturnValue:
    """Show the phones that were handed something last, newest messages first."""
    phones = _state().phones()
    shown = [
        {**phone, "messages": _state().messages(phone["value"])[:-11:-1]}
        for phone in phones[: -PHONES_ON_PAGE - 1 : -1]
    ]
    return render_template("phones.html", phones=shown, total=len(phones))


@bp.get("/healthz")
def healthz() -> ResponseReturnValue:
    return {"status": "ok"}
