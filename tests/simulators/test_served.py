"""Every simulator starts by its command and answers over HTTP."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


@pytest.mark.parametrize("name", ["bhxh_gateway", "bank"])
def test_a_simulator_to_come_says_what_it_will_be(start, name):
    url = start(f"simulators.{name}")

    page = httpx.get(url)

    assert page.status_code == 200
    assert "mô phỏng" in page.text


def test_thainguyen_id_names_the_address_it_serves(start):
    url = start("simulators.thainguyen_id")

    document = httpx.get(f"{url}/.well-known/openid-configuration").json()

    assert document["issuer"] == url
    assert document["token_endpoint"] == f"{url}/token"


def test_a_client_that_registers_a_key_is_made_no_secret(start, tmp_path):
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    file = tmp_path / "client.pem"
    file.write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    secrets = {"OIDC_CLIENT_SECRET": "", "OIDC_ADMIN_CLIENT_SECRET": ""}

    start("simulators.thainguyen_id", OIDC_CLIENT_PUBLIC_KEY_FILE=str(file), **secrets)

    said = (tmp_path / "simulators.thainguyen_id.log").read_text()
    assert "OIDC_ADMIN_CLIENT_SECRET=" in said
    assert "OIDC_CLIENT_SECRET=" not in said


def test_of_many_simultaneous_exchanges_at_most_one_succeeds_and_its_token_dies(
    start, journey, over_http
):
    url = start("simulators.thainguyen_id", OIDC_CLIENT_SECRET="app secret")
    journey.http = over_http(url)
    code = journey.code()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(journey.exchange, [code] * 8))

    given = [answer.json()["access_token"] for answer in answers if answer.status_code == 200]
    assert len(given) == 1
    assert journey.userinfo(given[0]).status_code == 401
