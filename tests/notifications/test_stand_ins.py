"""The two adapters that send nothing."""

import io
from datetime import timedelta

from notifications.console import ConsolePush
from notifications.memory import MemoryPush
from notifications.push import Outcome, Result


def test_the_console_shows_one_line_a_message_whatever_is_in_it(make_message):
    stream = io.StringIO()

    results = ConsolePush(stream).send([make_message(body="một\nhai"), make_message()])

    assert [result.outcome for result in results] == [Outcome.DELIVERED_TO_FCM] * 2
    assert stream.getvalue().count("\n") == 2


def test_memory_keeps_what_it_was_given_and_answers_as_told(make_message):
    push = MemoryPush()
    push.answers["phone-2"] = Result(Outcome.QUOTA, timedelta(seconds=5))
    messages = [make_message("phone-1"), make_message("phone-2")]

    results = push.send(messages)

    assert results == [Result(Outcome.DELIVERED_TO_FCM), push.answers["phone-2"]]
    assert push.sent == messages
    assert push.delivered_to("phone-1") == messages[:1]
    assert push.delivered_to("phone-2") == []


def test_both_take_an_empty_batch():
    assert ConsolePush(io.StringIO()).send([]) == MemoryPush().send([]) == []
