"""Turns: one at a time, fair, bounded, and nothing lost when somebody gives up."""

import threading
import time
from collections.abc import Callable

import pytest

from utils.runtime import turns as module
from utils.runtime.turns import Asker, BusyError, ReplacedError, Ticket, Turns, asking

PATIENCE = 20


class Line:
    """Threads that take a turn one after the other, and the order in which they had it."""

    def __init__(self) -> None:
        self.turns = Turns()
        self.order: list[str] = []
        self.errors: dict[str, Exception] = {}
        self.threads: list[threading.Thread] = []
        self._go = threading.Event()
        self.add("first", Asker("nobody"), self._go.wait)
        until(lambda: self.turns.taken)

    def add(self, name: str, asker: Asker, work: Callable[[float], object] = lambda seconds: None) -> None:
        """A thread that wants a turn, in the line when this returns (unless it was refused)."""
        waiting = self.turns.waiting

        def take() -> None:
            try:
                with asking(asker), self.turns:
                    self.order.append(name)
                    work(PATIENCE)
            except (BusyError, ReplacedError) as error:
                self.errors[name] = error

        thread = threading.Thread(target=take)
        thread.start()
        self.threads.append(thread)
        if name != "first":
            until(lambda: self.turns.waiting != waiting or name in self.errors or self.errors != {})

    def run(self) -> list[str]:
        """Let the first go; the order in which the others came."""
        self._go.set()
        for thread in self.threads:
            thread.join(PATIENCE)
        assert not self.turns.taken and not self.turns.waiting
        return self.order[1:]


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that is about to be so."""
    for _ in range(PATIENCE * 1000):
        if condition():
            return
        time.sleep(0.001)
    raise AssertionError("it did not come to that")


def test_one_thread_may_take_it_again_and_others_wait() -> None:
    turns = Turns()
    with turns, turns:
        assert turns.taken
    assert not turns.taken


def test_only_one_has_a_turn() -> None:
    turns, inside, most = Turns(), [0], [0]

    def work() -> None:
        for _ in range(200):
            with turns:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert most == [1] and not turns.taken and turns.waiting == 0


def test_sessions_take_turns_however_much_one_asks() -> None:
    line = Line()
    for number in range(3):
        line.add(f"a{number}", Asker("a"))
    line.add("b0", Asker("b"))
    line.add("c0", Asker("c"))
    assert line.run() == ["a0", "b0", "c0", "a1", "a2"]


def test_who_was_served_longest_ago_is_next_also_later() -> None:
    line = Line()
    line.add("a0", Asker("a"))
    line.run()
    again = Line()
    again.turns._served.update(line.turns._served)
    again.add("a1", Asker("a"))
    again.add("b0", Asker("b"))
    assert again.run() == ["b0", "a1"]


def test_long_work_waits_for_short_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PASSED", 2)
    line = Line()
    line.add("map", Asker("job", long=True))
    for number in range(4):
        line.add(f"short{number}", Asker(f"s{number}"))
    assert line.run() == ["short0", "short1", "map", "short2", "short3"]


def test_a_newer_request_of_the_same_page_takes_the_older_ones_place() -> None:
    line = Line()
    line.add("old", Asker("a", "prediction"))
    line.add("other page", Asker("b", "prediction"))
    line.add("other part", Asker("a", "roles"))
    line.add("new", Asker("a", "prediction"))
    assert set(line.run()) == {"other page", "other part", "new"}
    assert isinstance(line.errors["old"], ReplacedError)


def test_who_loses_patience_hears_how_many_are_before() -> None:
    line = Line()
    line.add("a", Asker("a"))
    line.add("b", Asker("b"))
    with asking(Asker("c", patience=0.01)), pytest.raises(BusyError) as busy, line.turns:
        pass
    assert busy.value.before == 3
    assert line.run() == ["a", "b"]


def test_too_many_who_wait_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.waiting_room, "most", 1)
    line = Line()
    line.add("a", Asker("a", patience=PATIENCE))
    with asking(Asker("b", patience=PATIENCE)), pytest.raises(BusyError), line.turns:
        pass
    assert line.run() == ["a"]
    assert module.waiting_room.count == 0


def test_what_another_has_finished_needs_no_turn() -> None:
    line, ticket, found = Line(), Ticket(), []

    def wait() -> None:
        with line.turns.turn(ticket) as mine:
            found.append(mine)

    thread = threading.Thread(target=wait)
    thread.start()
    until(lambda: line.turns.waiting == 1)
    line.turns.finish(ticket)
    thread.join(PATIENCE)
    assert found == [False] and line.turns.taken
    assert line.run() == []


def test_many_who_come_and_go_leave_it_free() -> None:
    turns, served = Turns(), []

    def work(number: int) -> None:
        for step in range(60):
            try:
                with asking(Asker(f"s{number % 5}", f"r{step % 3}", patience=0.0005 * (step % 4))), turns:
                    served.append(number)
            except (BusyError, ReplacedError):
                continue

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert served and not turns.taken and turns.waiting == 0 and module.waiting_room.count == 0
