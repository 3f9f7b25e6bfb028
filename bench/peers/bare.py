"""The floor: what a Flask view costs that does nothing, on the server that we use."""

from flask import Flask

app = Flask("bare")


@app.get("/", defaults={"path": ""})
@app.get("/<path:path>")
def ok(path: str) -> dict[str, bool]:  # noqa: ARG001 - whatever is asked for
    return {"ok": True}
