"""What I agree to."""

from typing import Any

from api import auth
from api.blueprint import Blueprint
from api.current import current
from api.errors import locale
from api.openapi import fails
from api.schemas.privacy import ConsentIn, ConsentOut, ConsentsOut
from services.limits import RateLimited
from services.privacy import consents
from services.privacy.consents import TextOutdated, UnknownPurpose

blp = Blueprint("consents", __name__, url_prefix="/api/v1", description="Consent")


@blp.get("/me/consents")
@blp.response(200, ConsentsOut)
def my_consents() -> Any:
    """What I may agree to, in which words, and what I decided

    Nothing is agreed to until I do so. What rests on law and not on consent is not listed.
    """
    with current.db.reading() as session:
        return {"items": consents.standings(session, auth.actor(), locale=locale())}


@blp.put("/me/consents/<purpose>")
@blp.arguments(ConsentIn)
@blp.response(200, ConsentOut)
@fails(UnknownPurpose, TextOutdated, RateLimited)
def decide(decision: dict[str, Any], purpose: str) -> Any:
    """Agree to one purpose, or withdraw the consent; repeatable

    `version` names the text that was shown. It has to be the current one to agree; to withdraw,
    any will do.
    """
    with current.db.transaction() as session:
        return consents.decide(
            session, auth.actor(), purpose, locale=locale(), at=current.now(), **decision
        )
