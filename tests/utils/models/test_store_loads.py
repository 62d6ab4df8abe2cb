"""Loads at once: who waits, who goes on, what one load leaves to another."""

import random
import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.fixtures.gates import PATIENCE, Gate, StopError
from utils.errors import UserFacingError
from utils.forward.attention_capture import capture
from utils.models.store import ModelStore
from utils.runtime.jobs import Progress


class TestLoadsAtOnce:
    def test_a_load_does_not_keep_others_from_a_loaded_model(self, three: Path) -> None:
        store, gate = ModelStore([three]), Gate()
        store.get("a")
        thread = threading.Thread(target=store.get, args=("b", gate))
        thread.start()
        assert gate.reached.wait(PATIENCE)
        done = threading.Event()

        def use() -> None:
            capture(store.get("a"), [0, 5, 9])
            assert store.names() and not store.is_loaded("b")
            done.set()

        user = threading.Thread(target=use, daemon=True)
        user.start()
        assert done.wait(PATIENCE)
        gate.opened.set()
        thread.join(PATIENCE)
        assert store.is_loaded("b")

    def test_one_who_waits_hears_how_far_it_is_and_may_leave(self, three: Path, loads: list[str]) -> None:
        store, gate = ModelStore([three]), Gate("checking the weights")
        thread = threading.Thread(target=store.get, args=("a", gate))
        thread.start()
        assert gate.reached.wait(PATIENCE)
        heard: list[tuple[str, int, int]] = []

        def progress(what: str, done: int, total: int) -> None:
            heard.append((what, done, total))
            raise StopError

        with pytest.raises(StopError):
            store.get("a", progress)
        assert heard[0][0] == "checking the weights" and heard[0][2] > 20
        gate.opened.set()
        thread.join(PATIENCE)
        assert store.is_loaded("a") and loads == ["a"]

    def test_where_the_one_who_loads_gives_up_another_takes_over(self, three: Path, loads: list[str]) -> None:
        store, gate = ModelStore([three]), Gate()
        gate.error = StopError()
        ends: list[object] = []

        def first() -> None:
            with pytest.raises(StopError) as caught:
                store.get("a", gate)
            ends.append(caught.value)

        leader = threading.Thread(target=first)
        leader.start()
        assert gate.reached.wait(PATIENCE)
        waiting = threading.Event()
        follower = threading.Thread(
            target=lambda: ends.append(store.get("a", lambda what, done, total: waiting.set()))
        )
        follower.start()
        assert waiting.wait(PATIENCE)
        gate.opened.set()
        leader.join(PATIENCE)
        follower.join(PATIENCE)
        assert ends[0] is gate.error
        assert ends[1] is store.get("a")
        assert loads == ["a", "a"]

    def test_all_who_wait_hear_why_it_failed(self, three: Path, loads: list[str]) -> None:
        path = three / "a" / "model.safetensors"
        weights = load_file(path)
        weights[min(weights)].fill_(float("nan"))
        save_file(weights, path, metadata={"format": "pt"})
        store, gate = ModelStore([three]), Gate()
        messages: list[str] = []

        def ask(progress: Progress) -> None:
            with pytest.raises(UserFacingError) as caught:
                store.get("a", progress)
            messages.append(caught.value.message)

        leader = threading.Thread(target=ask, args=(gate,))
        leader.start()
        assert gate.reached.wait(PATIENCE)
        waiting = [threading.Event() for _ in range(3)]
        followers = [
            threading.Thread(target=ask, args=(lambda what, done, total, event=event: event.set(),))
            for event in waiting
        ]
        for follower in followers:
            follower.start()
        assert all(event.wait(PATIENCE) for event in waiting)
        gate.opened.set()
        for thread in (leader, *followers):
            thread.join(PATIENCE)
        assert len(messages) == 4 and len(set(messages)) == 1 and "not numbers" in messages[0]
        assert loads == ["a"]

    def test_two_models_are_read_one_after_the_other(self, three: Path) -> None:
        store, gate = ModelStore([three]), Gate()
        first = threading.Thread(target=store.get, args=("a", gate))
        first.start()
        assert gate.reached.wait(PATIENCE)
        message: list[str] = []
        waits = threading.Event()

        def progress(what: str, done: int, total: int) -> None:
            message.append(what)
            waits.set()

        second = threading.Thread(target=store.get, args=("b", progress))
        second.start()
        assert waits.wait(PATIENCE)
        assert message == ["waiting for another model"] and not store.is_loaded("b")
        gate.opened.set()
        first.join(PATIENCE)
        second.join(PATIENCE)
        assert store.is_loaded("a") and store.is_loaded("b")


def test_many_who_use_more_models_than_there_is_room_for(three: Path, tiny_models_folder: Path) -> None:
    store = ModelStore([three, tiny_models_folder / "tiny-llama"], memory_budget=0)
    ids = [0, 5, 9, 5, 9]
    expected = {name: capture(store.get(name), ids).logits for name in store.names()}
    problems: list[str] = []

    def use(seed: int) -> None:
        order = random.Random(seed)
        for _ in range(6):
            name = order.choice(store.names())
            loaded = store.get(name)
            if loaded.name != name or not torch.equal(capture(loaded, ids).logits, expected[name]):
                problems.append(name)

    threads = [threading.Thread(target=use, args=(seed,)) for seed in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert problems == []
    assert sum(store.is_loaded(name) for name in store.names()) == 1
