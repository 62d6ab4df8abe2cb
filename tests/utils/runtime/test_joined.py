"""Joined work: one batch for those who wait, one piece for those who ask for the same, own errors."""

import threading
from collections.abc import Sequence

import pytest

from tests.utils.runtime.test_turns import PATIENCE, until
from utils.errors import UserFacingError
from utils.runtime.joined import JoinedWork
from utils.runtime.turns import Asker, BusyError, Turns, asking


class Doubling:
    """Doubles numbers, several at once; the odd ones never go with even ones, and 13 is refused."""

    def __init__(self) -> None:
        self.turns = Turns()
        self.batches: list[list[int]] = []
        self.finished: list[int] = []
        self.work = JoinedWork[int, int, str](self.run, self.choose, self.finish)

    def run(self, items: Sequence[int]) -> list[int]:
        if 13 in items:
            raise UserFacingError("13 cannot be doubled.", "Take another.")
        self.batches.append(list(items))
        return [2 * item for item in items]

    def choose(self, items: Sequence[int]) -> list[int]:
        return [place for place, item in enumerate(items) if item % 2 == items[0] % 2]

    def finish(self, item: int, raw: int) -> str:
        self.finished.append(item)
        return f"{item} -> {raw}"

    def ask_together(self, numbers: Sequence[int]) -> dict[int, list[str | UserFacingError]]:
        """What comes of asking for all of these while the turn is taken."""
        found: dict[int, list[str | UserFacingError]] = {number: [] for number in numbers}

        def ask(number: int) -> None:
            try:
                found[number].append(self.work.get(self.turns, number, number))
            except UserFacingError as error:
                found[number].append(error)

        threads = [threading.Thread(target=ask, args=(number,)) for number in numbers]
        with self.turns:
            for place, thread in enumerate(threads, start=1):
                thread.start()
                until(lambda place=place: self.turns.waiting == place)
        for thread in threads:
            thread.join(PATIENCE)
        return found


def test_what_waits_goes_together_where_it_fits() -> None:
    doubling = Doubling()
    found = doubling.ask_together([2, 3, 4, 5, 6])
    assert found == {number: [f"{number} -> {2 * number}"] for number in (2, 3, 4, 5, 6)}
    assert sorted(map(sorted, doubling.batches)) == [[2, 4, 6], [3, 5]]


def test_of_the_same_one_is_done() -> None:
    doubling = Doubling()
    assert doubling.ask_together([2, 2, 2])[2] == ["2 -> 4"] * 3
    assert doubling.batches == [[2]] and doubling.finished == [2]


def test_what_is_wrong_with_one_does_not_hit_the_others() -> None:
    doubling = Doubling()
    found = doubling.ask_together([11, 13, 15])
    assert found[11] == ["11 -> 22"] and found[15] == ["15 -> 30"]
    assert isinstance(found[13][0], UserFacingError)


def test_who_gives_up_leaves_nothing_behind() -> None:
    doubling = Doubling()
    refused = threading.Event()

    def ask() -> None:
        with asking(Asker("a", patience=0.01)), pytest.raises(BusyError):
            doubling.work.get(doubling.turns, 2, 2)
        refused.set()

    with doubling.turns:
        threading.Thread(target=ask).start()
        assert refused.wait(PATIENCE)
    assert doubling.batches == []
    assert doubling.work.get(doubling.turns, 2, 2) == "2 -> 4"
    assert doubling.work._open == {}
