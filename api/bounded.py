"""Asking what may never answer."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class Bounded(Generic[T]):
    """Calls `ask` in a thread of its own and waits for it `patience_s` at most.

    Whoever comes while it is being asked gets the same answer, so that no more than one thread
    is ever held up.
    """

    def __init__(self, ask: Callable[[], T], patience_s: float) -> None:
        self._ask = ask
        self._patience_s = patience_s
        self._one_at_a_time = threading.Lock()
        self._answer: Future[T] | None = None
        self._until = 0.0

    def __call__(self) -> T:
        """The answer, or whatever `ask` raises.

        Raises:
            TimeoutError: it has not answered, perhaps for longer than this call.
        """
        with self._one_at_a_time:
            if self._answer is None or self._answer.done():
                self._answer = Future()
                self._until = time.monotonic() + self._patience_s
                # Never waited for at the end of the process, as a pool's threads would be.
                threading.Thread(target=self._fill, args=[self._answer], daemon=True).start()
            answer, until = self._answer, self._until
        return answer.result(max(0.0, until - time.monotonic()))

    def _fill(self, answer: Future[T]) -> None:
        try:
            answer.set_result(self._ask())
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            answer.set_exception(error)
