"""A simulator that is announced but not there yet: it answers its health check and says so."""

from flask import Flask
from markupsafe import escape


def create_placeholder(sentence: str) -> Flask:
    """An application that says in one sentence what it will be."""
    app = Flask(__name__)

    @app.get("/healthz")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/")
    def page() -> str:
        return (
            f'<!doctype html><html lang="vi"><title>{escape(sentence)}</title><p>{escape(sentence)}'
        )

    return app
