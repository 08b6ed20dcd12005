"""Turns at being drawn: in order, given up by unwanted pages and by pages that wait for others."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from clair.app.kit.turns import Turnstile


def test_turns_are_given_in_the_order_of_asking() -> None:
    turnstile, order = Turnstile(1), []
    looked = [threading.Event() for _ in range(3)]

    def come(number: int) -> None:
        with turnstile.turn(look=looked[number].set):
            order.append(number)

    threads = [threading.Thread(target=come, args=(n,)) for n in range(3)]
    with turnstile.turn():
        for thread, seen in zip(threads, looked, strict=True):
            thread.start()
            assert seen.wait(10)
        assert order == []
    for thread in threads:
        thread.join(10)
    assert order == [0, 1, 2]


def test_who_is_not_wanted_any_more_leaves_the_queue() -> None:
    turnstile = Turnstile(1)

    def look() -> None:
        raise RuntimeError("a newer run has been asked for")

    def come() -> None:
        with turnstile.turn(look=look):
            pytest.fail("its turn came")

    with (
        ThreadPoolExecutor(1) as pool,
        turnstile.turn(),
        pytest.raises(RuntimeError, match="newer"),
    ):
        pool.submit(come).result(10)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(_pass, turnstile).result(10)


def test_a_page_that_waits_for_others_gives_its_turn_up_and_gets_it_back() -> None:
    turnstile = Turnstile(1)
    with ThreadPoolExecutor(1) as pool, turnstile.turn():
        with turnstile.away():
            pool.submit(_pass, turnstile).result(10)
        assert turnstile.free == 0
    assert turnstile.free == 1


def _pass(turnstile: Turnstile) -> None:
    with turnstile.turn():
        pass
