"""Walk the main journey through a running system, over HTTP, and tell each step: `make journey`.

A citizen signs in, sends a report with a photo, staff work on it, the phone is pushed, the inbox
tells the result, the citizen rates it. tests/test_journey.py takes the same walk with a browser
for the staff's part.
"""

import argparse
import base64
import contextlib
import hashlib
import html
import io
import re
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, Self
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import httpx
from PIL import Image

from dev.config import Config, Problem

REDIRECT = "vn.gov.thainguyen.c:/oauth2redirect"
SPOT = {"lat": 21.5942, "lng": 105.8482}
PATIENCE_S = 30.0
DISPATCHER, HANDLER = "dieuphoi1", "xuly1"
DEPARTMENT, RESULT = "so-xay-dung", "Đã vá ổ gà, mặt đường phẳng trở lại."


class JourneyFailed(Exception):
    """A step did not go as it should; the message says what was seen instead."""


def password(username: str) -> str:
    """The demo accounts' passwords, as GET /demo/people of the simulator lists them."""
    return f"matkhau-{username}"


def expect(answer: httpx.Response, *statuses: int) -> httpx.Response:
    if answer.status_code not in (statuses or (200, 201, 204)):
        request = answer.request
        raise JourneyFailed(
            f"{request.method} {request.url.path}: {answer.status_code} {answer.text[:500]}"
        )
    return answer


@dataclass
class App:
    """The mobile app of one person, or a program of a member of staff: it holds tokens."""

    base: str
    username: str
    audience: str = "citizen"
    installation_id: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=15))
    person: dict[str, Any] = field(default_factory=dict)
    refresh_token: str = field(default="", repr=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        self.http.close()

    def sign_in(self) -> None:
        """Authorization code with PKCE, as RFC 8252 has it: the page is the provider's."""
        config = self.get("/auth/config").json()
        verifier, nonce, state = (secrets.token_urlsafe(32) for _ in range(3))
        digest = hashlib.sha256(verifier.encode()).digest()
        asked = {
            "response_type": "code",
            "client_id": config["client_id"],
            "redirect_uri": REDIRECT,
            "scope": " ".join(config["scopes"]),
            "state": state,
            "nonce": nonce,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        callback = browse(f"{config['issuer']}/authorize?{urlencode(asked)}", self.username)
        came = parse_qs(urlsplit(callback).query)
        if came.get("state") != [state]:
            raise JourneyFailed("the provider brought back another state")
        device = {"installation_id": self.installation_id, "platform": "android"}
        tokens = self.post(
            "/auth/login",
            json={
                "code": came["code"][0],
                "code_verifier": verifier,
                "nonce": nonce,
                "redirect_uri": REDIRECT,
                "audience": self.audience,
                "device": device,
            },
        ).json()
        self.person = tokens["citizen"]
        self.refresh_token = tokens["refresh_token"]
        self.http.headers["Authorization"] = f"Bearer {tokens['access_token']}"

    def get(self, path: str, **options: Any) -> httpx.Response:
        return expect(self.http.get(f"{self.base}/api/v1{path}", **options))

    def post(self, path: str, **options: Any) -> httpx.Response:
        return expect(self.http.post(f"{self.base}/api/v1{path}", **options))

    def put(self, path: str, **options: Any) -> httpx.Response:
        return expect(self.http.put(f"{self.base}/api/v1{path}", **options))


def browse(address: str, username: str) -> str:
    """Sign in on the provider's pages and agree; returns where the browser is sent at the end."""
    with httpx.Client(timeout=15) as browser:
        page = expect(browser.get(address))
        form = {"username": username, "password": password(username)}
        page = submit(browser, page, form)
        page = expect(browser.get(urljoin(address, page.headers["Location"])))
        page = submit(browser, page, {"decision": "allow"})
        return page.headers["Location"]


def submit(browser: httpx.Client, page: httpx.Response, fields: dict[str, str]) -> httpx.Response:
    action = re.search(r'<form[^>]*action="([^"]+)"', page.text)
    token = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    if action is None or token is None:
        raise JourneyFailed(f"no form on {page.url.path}")
    target = urljoin(str(page.url), html.unescape(action[1]))
    return expect(browser.post(target, data={"csrf_token": token[1], **fields}), 303)


class Staff(Protocol):
    """The staff's part of the walk: by their API, or by a browser."""

    def triage(self, code: str) -> None:
        """The dispatcher finds the report and sends it to a department."""

    def work(self, code: str) -> None:
        """The handler takes the report."""

    def resolve(self, code: str) -> None:
        """The handler closes it with a result and a photo."""


class StaffApi:
    """The staff's part, by the JSON API with tokens of audience staff."""

    def __init__(self, base: str) -> None:
        self.base = base
        self._apps: dict[str, App] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        for app in self._apps.values():
            app.http.close()

    def triage(self, code: str) -> None:
        self._move(DISPATCHER, code, to="assigned", department=DEPARTMENT)

    def work(self, code: str) -> None:
        self._move(HANDLER, code, to="in_progress")

    def resolve(self, code: str) -> None:
        photo = self._app(HANDLER).post("/uploads", files={"file": photo_with_gps()}).json()
        self._move(HANDLER, code, to="resolved", text=RESULT, upload_ids=[photo["id"]])

    def _app(self, username: str) -> App:
        if username not in self._apps:
            self._apps[username] = App(self.base, username, audience="staff")
            self._apps[username].sign_in()
        return self._apps[username]

    def _move(self, username: str, code: str, **move: Any) -> None:
        app = self._app(username)
        (found,) = app.get("/staff/reports", params={"code": code}).json()["items"]
        shown = app.get(f"/staff/reports/{found['id']}")
        app.post(
            f"/staff/reports/{found['id']}/transitions",
            json=move,
            headers={"If-Match": shown.headers["ETag"]},
        )


def photo_with_gps() -> bytes:
    """A photo as a phone makes it: it tells where and when it was taken."""
    picture = Image.radial_gradient("L").resize((1600, 1200)).convert("RGB")
    exif = Image.Exif()
    exif[0x010F] = "A phone"
    exif.get_ifd(0x8825).update({1: "N", 2: (21.0, 35.0, 39.0), 3: "E", 4: (105.0, 50.0, 53.0)})
    out = io.BytesIO()
    picture.save(out, "JPEG", exif=exif, comment=b"a comment")
    return out.getvalue()


def wait_for(what: str, look: Callable[[], Any]) -> Any:
    """Whatever `look` finds, once it finds something."""
    until = time.monotonic() + PATIENCE_S
    while True:
        if found := look():
            return found
        if time.monotonic() > until:
            raise JourneyFailed(f"waited {PATIENCE_S:.0f} s in vain for {what}")
        time.sleep(0.2)


def walk(
    base: str, fcm: str, staff: Staff, *, username: str = "dan01", tell: Callable[[str], None]
) -> dict[str, Any]:
    """The whole journey; returns the report at its end.

    Raises:
        JourneyFailed: at the first step that went wrong.
    """
    with App(base, username) as phone:
        return follow(phone, fcm, staff, tell)


def follow(phone: App, fcm: str, staff: Staff, tell: Callable[[str], None]) -> dict[str, Any]:
    """The journey of one phone."""
    phone.sign_in()
    tell(f"Signed in through Thái Nguyên ID as {phone.person['name']}.")

    push_token = f"phone-{secrets.token_urlsafe(24)}"
    phone.put(
        f"/me/devices/{phone.installation_id}",
        json={"platform": "android", "kind": "token", "value": push_token},
    )
    tell("The phone asks to be told of news.")

    report = send_report(phone, tell)
    code = report["code"]

    staff.triage(code)
    tell(f"A dispatcher sees {code} and sends it to {DEPARTMENT}.")
    staff.work(code)
    tell("A handler takes it.")
    staff.resolve(code)
    tell(f"The handler closes it with a photo: “{RESULT}”")

    # Received, assigned, in progress, resolved: four pieces of news.
    pushes = wait_for(
        "four pushes on the phone",
        lambda: pushes if len(pushes := received(fcm, push_token)) >= 4 else None,  # noqa: PLR2004
    )
    tell(f"The phone got {len(pushes)} pushes; they say only: “{pushes[-1]['body']}”")
    letters = phone.get("/me/inbox").json()["items"]
    told = {letter["id"] for letter in letters}
    if not {push["notification_id"] for push in pushes} <= told:
        raise JourneyFailed("a push names a message that is not in the inbox")
    phone.post(f"/me/inbox/{letters[0]['id']}/read")
    tell(f"The inbox has the words: “{letters[0]['text']}”")

    wait_for("the photo of the result", lambda: shows_result(phone, report["id"]))
    tell("The report shows the photo of the result.")

    rated = phone.post(f"/reports/{report['id']}/rating", json={"score": 5}).json()
    tell(f"The citizen is content: {rated['rating']} of 5. The report is {rated['state']}.")
    return dict(rated)


def shows_result(phone: App, report_id: str) -> bool:
    photos = phone.get(f"/reports/{report_id}").json()["photos"]
    return any(photo["shows_result"] and photo["urls"] for photo in photos)


def send_report(phone: App, tell: Callable[[str], None]) -> dict[str, Any]:
    """Photo, place, report; the network drops, so the app sends the report twice."""
    upload = phone.post("/uploads", files={"file": ("photo.jpg", photo_with_gps())}).json()
    tell("A photo is uploaded; it holds the place where it was taken.")
    where = phone.get("/places/resolve", params=SPOT).json()
    tell(f"The app asks where this is: {where['place']['name']} ({where['confidence']}).")
    draft = {
        "category": "giao-thong",
        "description": "Ổ gà sâu giữa đường, xe máy dễ ngã.",
        **SPOT,
        "upload_ids": [upload["id"]],
    }
    key = {"Idempotency-Key": secrets.token_urlsafe(16)}
    report = phone.post("/reports", json=draft, headers=key).json()
    again = phone.post("/reports", json=draft, headers=key)
    if again.json()["id"] != report["id"] or "Idempotency-Replayed" not in again.headers:
        raise JourneyFailed("sending the report again made another one")
    tell(f"The report is sent, twice since the network dropped; it is one: {report['code']}.")
    ready = wait_for(
        "the cleaned photo",
        lambda: phone.get(f"/reports/{report['id']}").json()["photos"][0]["urls"],
    )
    content = expect(phone.http.get(ready["full"])).content
    picture = Image.open(io.BytesIO(content))
    if picture.getexif() or picture.info.get("comment"):
        raise JourneyFailed("the stored photo still holds metadata")
    tell(f"The photo is ready, {picture.width} x {picture.height}, without any metadata.")
    return dict(report)


def received(fcm: str, push_token: str) -> list[dict[str, Any]]:
    """What the FCM simulator handed to a phone, each message once."""
    pushes = expect(httpx.get(f"{fcm}/demo/phones/{push_token}")).json()
    return list({push["notification_id"]: push for push in pushes}.values())


@contextlib.contextmanager
def failing_in_one_line() -> Iterator[None]:
    """End the program with one line for whoever typed its command."""
    try:
        yield
    except Problem as problem:
        sys.exit(str(problem))
    except JourneyFailed as failure:
        # What was seen instead may be a whole page.
        sys.exit(f"It ended: {' '.join(str(failure).split())}")
    except httpx.ConnectError as error:
        url = error.request.url
        sys.exit(f"Nothing answers at {url.scheme}://{url.netloc.decode()}; `make run` starts it.")
    except httpx.HTTPError as error:
        sys.exit(f"It ended: {error}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m dev.journey", description=__doc__)
    parser.add_argument("--url", help="by default this machine at PORT, as `make run` has it")
    parser.add_argument("--fcm", help="by default the port of --url and three")
    arguments = parser.parse_args()
    steps = iter(range(1, 100))
    with failing_in_one_line():
        base = arguments.url or Config.from_env().url()
        fcm = arguments.fcm or f"http://127.0.0.1:{(urlsplit(base).port or 80) + 3}"
        with StaffApi(base) as staff:
            walk(base, fcm, staff, tell=lambda text: print(f"{next(steps):2}. {text}"))


if __name__ == "__main__":
    main()
