"""The staff view: pages for people who work on reports all day."""

from flask import Blueprint, Flask

from admin import audit, door, errors, pauses, people, privacy, queue, reports, sign_in
from services.errors import DomainError

blp = Blueprint(
    "admin", __name__, url_prefix="/admin", template_folder="templates", static_folder="static"
)
for part in (
    sign_in.blp,
    queue.blp,
    reports.blp,
    pauses.blp,
    people.blp,
    *privacy.blueprints,
    audit.blp,
):
    blp.register_blueprint(part)
blp.before_request(door.guard)
blp.register_error_handler(DomainError, errors.handle_domain_error)


def init_app(app: Flask) -> None:
    """Mount the staff view."""
    app.register_blueprint(blp)
    errors.init_app(app)
