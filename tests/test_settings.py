"""Settings: a system that cannot start says everything that is wrong, and no secret."""

import dataclasses

import pytest

from settings import SECRETS, Settings, SettingsError, variable

NEEDED = {
    "DATABASE_URL",
    "PUBLIC_URL",
    "SECRET_KEY",
    "DATA_KEYS",
    "INDEX_KEYS",
    "ACCESS_TOKEN_KEY_FILE",
    "OIDC_ISSUER",
    "OIDC_CLIENT_ID",
    "OIDC_CLIENT_SECRET",
    "OIDC_ADMIN_CLIENT_ID",
    "OIDC_ADMIN_CLIENT_SECRET",
    "OIDC_REDIRECT_URIS",
    "STORAGE_URL",
}
CANARY = "canary-value-that-nobody-may-see"


@pytest.fixture
def environment(access_key) -> dict[str, str]:
    return {
        "DATABASE_URL": f"postgresql://app:{CANARY}@127.0.0.1/db",
        "PUBLIC_URL": "https://c.test/",
        "SECRET_KEY": CANARY,
        "DATA_KEYS": f"2:{CANARY} 1:{CANARY}",
        "INDEX_KEYS": f"1:{CANARY}",
        "ACCESS_TOKEN_KEY_FILE": str(access_key),
        "OIDC_ISSUER": "https://id.test",
        "OIDC_CLIENT_ID": "app",
        "OIDC_CLIENT_SECRET": CANARY,
        "OIDC_ADMIN_CLIENT_ID": "admin",
        "OIDC_ADMIN_CLIENT_SECRET": CANARY,
        "OIDC_REDIRECT_URIS": "a.b:/c http://127.0.0.1/callback",
        "STORAGE_URL": "file:///nowhere",
    }


def test_what_is_needed_is_enough(environment):
    settings = Settings.from_env(environment)

    assert settings.public_url == "https://c.test"
    assert settings.oidc_redirect_uris == ("a.b:/c", "http://127.0.0.1/callback")
    assert (settings.trusted_proxies, settings.log_level) == (0, "INFO")


def test_the_provider_is_thai_nguyen_id_unless_something_else_is_said(environment):
    usual = Settings.from_env(environment)
    other = Settings.from_env(
        environment
        | {
            "OIDC_SCOPES": "openid national_id",
            "OIDC_CITIZEN_NUMBER_CLAIM": "national_number",
            "OIDC_LEVEL_2": "level:high",
        }
    )

    assert usual.oidc_scopes == ("openid", "profile", "phone", "citizen_id")
    assert (usual.oidc_citizen_number_claim, usual.oidc_level_2) == (
        "citizen_number",
        "urn:thainguyen:loa:2",
    )
    assert other.oidc_scopes == ("openid", "national_id")
    assert (other.oidc_citizen_number_claim, other.oidc_level_2) == (
        "national_number",
        "level:high",
    )


@pytest.mark.parametrize("client", ["OIDC_CLIENT", "OIDC_ADMIN_CLIENT"])
def test_a_client_with_a_key_needs_no_secret(environment, access_key, client):
    with_key = {f"{client}_SECRET": "", f"{client}_KEY_FILE": str(access_key)}

    settings = Settings.from_env(environment | with_key)

    assert getattr(settings, f"{client}_key_file".lower()) == access_key
    assert getattr(settings, f"{client}_secret".lower()) == ""


def test_everything_that_is_missing_is_named_at_once():
    with pytest.raises(SettingsError) as refusal:
        Settings.from_env({})

    for name in NEEDED:
        assert f"{name} is missing" in str(refusal.value)


@pytest.mark.parametrize("name", sorted(NEEDED))
def test_what_is_empty_is_missing(environment, name):
    with pytest.raises(SettingsError, match=f"^Settings: {name} is missing$"):
        Settings.from_env(environment | {name: ""})


FAULTS = {
    ("SECRET_KEY", "canary-that-is-short"): "SECRET_KEY is shorter than 32 characters",
    ("DATA_KEYS", "canary" * 8): "DATA_KEYS is no list of NUMBER:SECRET, numbers from 1 to 255",
    ("INDEX_KEYS", "1:canary-canary"): "INDEX_KEYS has a key shorter than 32 characters",
    ("PUBLIC_URL", "canary.test"): "PUBLIC_URL is no http(s) address",
    ("OIDC_ISSUER", "file:///canary"): "OIDC_ISSUER is no http(s) address",
    ("ACCESS_TOKEN_KEY_FILE", "/nowhere/canary"): "ACCESS_TOKEN_KEY_FILE names no file",
    ("FIREBASE_CREDENTIALS_FILE", "/canary"): "FIREBASE_CREDENTIALS_FILE names no file",
    ("OIDC_CLIENT_KEY_FILE", "/canary"): "OIDC_CLIENT_KEY_FILE names no file",
    ("OIDC_ADMIN_CLIENT_KEY_FILE", "/canary"): "OIDC_ADMIN_CLIENT_KEY_FILE names no file",
    ("OIDC_SCOPES", "profile canary"): "OIDC_SCOPES lacks openid",
    ("TRUSTED_PROXIES", "canary"): "TRUSTED_PROXIES is no whole number",
    ("METRICS_PORT", "-1"): "METRICS_PORT is no whole number",
    ("LOG_LEVEL", "CANARY"): "LOG_LEVEL is none of DEBUG, INFO, WARNING, ERROR, CRITICAL",
}


@pytest.mark.parametrize("fault", FAULTS, ids=" ".join)
def test_a_malformed_value_is_named_but_not_repeated(environment, fault):
    name, value = fault

    with pytest.raises(SettingsError) as refusal:
        Settings.from_env(environment | {name: value})

    assert str(refusal.value) == f"Settings: {FAULTS[fault]}"
    assert "canary" not in str(refusal.value).lower()


def test_all_faults_are_told_together(environment):
    wrong = dict(FAULTS.keys()) | {"STORAGE_URL": ""}

    with pytest.raises(SettingsError) as refusal:
        Settings.from_env(environment | wrong)

    assert str(refusal.value).count(";") == len(FAULTS)


@pytest.mark.parametrize("name", sorted(SECRETS))
def test_a_secret_may_lie_in_a_file(tmp_path, name):
    file = tmp_path / "secret"
    file.write_text(f"{CANARY}\n")

    assert variable(name, {f"{name}_FILE": str(file)}) == CANARY
    assert variable(name, {name: "before the file", f"{name}_FILE": str(file)}) == "before the file"


def test_settings_are_made_of_secrets_in_files(environment, tmp_path):
    known = SECRETS & environment.keys()
    for name in known:
        (tmp_path / name).write_text(environment[name])
    files = {f"{name}_FILE": str(tmp_path / name) for name in known}
    rest = {name: value for name, value in environment.items() if name not in known}

    assert Settings.from_env(rest | files) == Settings.from_env(environment)


@pytest.mark.parametrize("content", [None, b"\xff"], ids=["missing", "not text"])
def test_a_file_without_a_secret_is_named_but_not_where_it_is(environment, tmp_path, content):
    file = tmp_path / CANARY
    if content:
        file.write_bytes(content)
    wrong = {"SECRET_KEY": "", "SECRET_KEY_FILE": str(file)}

    with pytest.raises(SettingsError) as refusal:
        Settings.from_env(environment | wrong)

    assert str(refusal.value) == "Settings: SECRET_KEY_FILE names no file that can be read"


def test_an_empty_file_holds_no_secret(environment, tmp_path):
    (tmp_path / "empty").write_text("\n")
    wrong = {"SECRET_KEY": "", "SECRET_KEY_FILE": str(tmp_path / "empty")}

    with pytest.raises(SettingsError, match=r"^Settings: SECRET_KEY is missing$"):
        Settings.from_env(environment | wrong)


def test_what_is_no_secret_is_not_looked_for_in_files(tmp_path):
    (tmp_path / "level").write_text("DEBUG")

    assert variable("LOG_LEVEL", {"LOG_LEVEL_FILE": str(tmp_path / "level")}) == ""


def test_settings_that_are_printed_show_no_secret(environment):
    assert CANARY not in repr(Settings.from_env(environment))


def test_settings_do_not_change(environment):
    settings = Settings.from_env(environment)

    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.public_url = "http://elsewhere.test"
