"""What this project uses of firebase-admin 7 and google-auth; a new version may not change it."""

import inspect
import json
from datetime import timedelta

import firebase_admin
import pytest
from firebase_admin import credentials, messaging
from firebase_admin._messaging_encoder import MessageEncoder
from google.auth.exceptions import RefreshError

from notifications.fcm_answers import BY_CODE
from notifications.fcm_tokens import TokenResponse, TokenUnavailable
from simulators.fcm.service_account import write_service_account

TOKEN_URI = "https://token.example/token"


@pytest.fixture
def certificate(tmp_path):
    write_service_account(tmp_path / "account.json", TOKEN_URI, project_id="a-project")
    return credentials.Certificate(str(tmp_path / "account.json"))


def test_the_major_version_is_the_one_that_was_read():
    assert firebase_admin.__version__.startswith("7.")


def test_the_certificate_names_its_project(certificate):
    assert certificate.project_id == "a-project"


def test_a_new_credential_has_no_token_and_is_not_valid(certificate):
    credential = certificate.get_credential()

    assert credential.token is None
    assert credential.valid is False


def test_refresh_posts_a_signed_grant_through_the_transport_it_is_handed(certificate):
    credential = certificate.get_credential()
    requests = []

    def transport(**request):
        requests.append(request)
        return TokenResponse(200, {}, b'{"access_token": "good", "expires_in": 3600}')

    credential.refresh(transport)

    assert (credential.token, credential.valid) == ("good", True)
    (request,) = requests
    assert (request["method"], request["url"]) == ("POST", TOKEN_URI)
    assert b"grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer" in request["body"]


def test_a_token_close_to_its_end_is_not_valid(certificate):
    credential = certificate.get_credential()

    credential.refresh(lambda **_: TokenResponse(200, {}, b'{"access_token":"a","expires_in":60}'))

    assert credential.valid is False


def test_what_the_transport_raises_passes_through_at_once(certificate):
    calls = []

    def transport(**request):
        calls.append(request)
        raise TokenUnavailable

    with pytest.raises(TokenUnavailable):
        certificate.get_credential().refresh(transport)
    assert len(calls) == 1


def test_a_refused_grant_raises_refresh_error_with_its_reason_first(certificate):
    answer = TokenResponse(400, {}, b'{"error": "invalid_grant", "error_description": "no"}')

    with pytest.raises(RefreshError) as refusal:
        certificate.get_credential().refresh(lambda **_: answer)

    assert refusal.value.args[0] == "invalid_grant: no"


@pytest.mark.parametrize("kind", ["fid", "token", "topic"])
def test_a_target_set_as_an_attribute_is_encoded_without_a_warning(kind):
    message = messaging.Message(data={"a": "b"})
    setattr(message, kind, "value")

    assert MessageEncoder().default(message) == {"data": {"a": "b"}, kind: "value"}


def test_the_constructor_still_has_every_target():
    names = inspect.signature(messaging.Message).parameters

    assert {"fid", "token", "topic"} <= names.keys()


def test_android_and_apns_are_encoded_as_http_v1_spells_them():
    message = messaging.Message(
        fid="value",
        notification=messaging.Notification(title="t", body="b"),
        android=messaging.AndroidConfig(
            collapse_key="c",
            priority="high",
            ttl=timedelta(hours=1),
            notification=messaging.AndroidNotification(tag="c"),
        ),
        apns=messaging.APNSConfig(headers={"apns-priority": "10"}),
    )

    assert json.loads(json.dumps(MessageEncoder().default(message))) == {
        "fid": "value",
        "notification": {"title": "t", "body": "b"},
        "android": {
            "collapse_key": "c",
            "priority": "high",
            "ttl": "3600s",
            "notification": {"tag": "c"},
        },
        "apns": {"headers": {"apns-priority": "10"}},
    }


@pytest.mark.parametrize(
    "fields",
    [
        {"data": {"a": 1}},
        {"topic": "hai từ"},
        {"android": messaging.AndroidConfig(ttl=timedelta(seconds=-1))},
    ],
)
def test_the_encoder_refuses_malformed_fields_with_value_error(fields):
    message = messaging.Message(**({"topic": "one"} | fields))

    with pytest.raises(ValueError, match=r"data|topic|ttl"):
        MessageEncoder().default(message)


def test_the_sdk_knows_no_error_code_that_our_table_lacks():
    assert messaging._MessagingService.FCM_ERROR_TYPES.keys() == BY_CODE.keys()


def test_the_sdk_sends_where_we_send():
    assert messaging._MessagingService.FCM_URL == (
        "https://fcm.googleapis.com/v1/projects/{0}/messages:send"
    )
