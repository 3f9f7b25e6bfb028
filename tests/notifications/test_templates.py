"""The words of the notifications."""

import string
from datetime import timedelta

import pytest

from notifications.templates import KINDS, Text, push_text, render

FACTS = {
    "code": "PA-7Q2M4X",
    "department": "Sở Xây dựng Mật",
    "text": "nội dung riêng {tư}",
    "due": "10:00 25/11/2026",
    "device": "Điện thoại {riêng}",
    "until": "01/12/2026",
    "days": "90",
    "purposes_vi": "Khảo sát; Nghiên cứu",
    "purposes_en": "Surveys; Research",
}
PARTS = [(kind, locale) for kind in KINDS for locale in ("vi", "en")]


def placeholders(text: Text) -> set[str]:
    parsed = string.Formatter().parse(f"{text.title} {text.text}")
    return {name for _, name, _, _ in parsed if name is not None}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_both_languages_with_the_same_facts(kind):
    inbox, push = KINDS[kind].inbox, KINDS[kind].push

    assert inbox.keys() == push.keys() == {"vi", "en"}
    assert inbox["vi"] != inbox["en"]
    named = {
        locale: {name.removesuffix(f"_{locale}") for name in placeholders(text)}
        for locale, text in inbox.items()
    }
    assert named["vi"] == named["en"]


@pytest.mark.parametrize(("kind", "locale"), PARTS)
def test_the_inbox_text_carries_its_facts(kind, locale):
    text = render(kind, locale, **FACTS)

    assert text.title
    assert all(FACTS[name] in text.text for name in placeholders(KINDS[kind].inbox[locale]))


@pytest.mark.parametrize(("kind", "locale"), PARTS)
def test_the_push_text_has_room_for_no_fact(kind, locale):
    text = push_text(kind, locale)

    assert text.title == "C-Thái Nguyên"
    assert not placeholders(text)
    assert "{" not in text.text


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_lives_long_enough_and_not_longer_than_fcm_keeps_it(kind):
    assert timedelta(hours=1) <= KINDS[kind].ttl <= timedelta(weeks=4)


def test_a_security_notice_is_urgent_and_an_answer_to_a_report_is_not():
    assert KINDS["security_session_revoked"].lane == "urgent"
    assert KINDS["security_new_sign_in"].lane == "urgent"
    assert KINDS["report_resolved"].lane == "normal"


def test_a_report_that_needs_an_answer_says_so_in_its_push():
    assert push_text("report_waiting_citizen", "vi") != push_text("report_resolved", "vi")


@pytest.mark.parametrize(("locale", "spoken"), [("en-GB", "en"), ("EN", "en"), ("fr", "vi")])
def test_a_locale_is_read_by_its_language_and_vietnamese_is_the_fallback(locale, spoken):
    assert push_text("report_closed", locale) == push_text("report_closed", spoken)


@pytest.mark.parametrize(("kind", "locale"), PARTS)
def test_what_people_typed_stands_last_on_lines_of_its_own(kind, locale):
    text = KINDS[kind].inbox[locale].text

    assert "{text}" not in text or text.endswith((".\n{text}", ":\n{text}"))


def test_an_answer_without_words_leaves_no_empty_line():
    text = render("data_request_accepted", "vi", **FACTS | {"text": ""}).text

    assert text.endswith(f"{FACTS['due']}.")


def test_a_missing_fact_is_an_error_and_not_a_hole_in_the_text():
    with pytest.raises(KeyError):
        render("report_received", "vi")
