"""Results that take a while, shared with other servers."""

import threading
from pathlib import Path

import torch

from callbacks.answer.effects_view import EffectsView
from callbacks.background import Background
from callbacks.live.context import Request, find_shown
from components import ids
from tests.fixtures.redis_server import redis_server
from utils.live.service import LiveService
from utils.models.store import ModelStore
from utils.runtime.jobs import JobProgress, stop_all
from utils.runtime.shared_cache import SharedCache

REQUEST = Request(model="tiny-llama", prompt="The cat sat on the mat. The cat sat on the")


def test_an_effect_map_of_one_server_is_shown_by_another(tiny_models_folder: Path, tmp_path: Path):
    with redis_server(tmp_path) as server:
        one, other = (
            EffectsView(
                LiveService(ModelStore([tiny_models_folder]), shared_cache=SharedCache(server.url, b"s" * 32))
            )
            for _ in range(2)
        )
        one.show(ids.VIEW, REQUEST, "zero", "", None, None, "kl", "me")
        shown = find_shown(one.service, REQUEST, ())
        assert shown is not None
        while (view := one.effects.view(one._key(shown))) is not None and not view.ended:
            pass
        other.effects.follow = None  # type: ignore[method-assign]
        state, body, rests = other.show(ids.EFFECTS_TICK, REQUEST, "zero", "", None, None, "kl", "me")
        assert (state, rests) == (None, True) and body is not None
        here, there = one.known(shown), other.known(shown)
        assert here is not None and there is not None and torch.equal(here.kl, there.kl)


def test_a_tick_that_reaches_a_server_without_the_job_starts_it_there(tiny_models_folder: Path):
    view = EffectsView(LiveService(ModelStore([tiny_models_folder])))
    rests = False
    while not rests:
        state, body, rests = view.show(ids.EFFECTS_TICK, REQUEST, "zero", "", None, None, "kl", "me")
    assert state is None and body is not None
    stop_all(0)


def test_a_job_that_nobody_asked_for_any_more_starts_again_for_whoever_still_waits():
    results: Background[int] = Background(10)
    begun, stop = threading.Semaphore(0), threading.Event()

    def compute(progress: JobProgress) -> int:
        begun.release()
        while not stop.wait(0.01):
            progress("counting", 1, 2)
        return 7

    def follow(session_id: str, again: bool = False) -> str:
        return results.follow("key", compute, session_id, again).state

    follow("me")
    begun.acquire()
    follow("me")
    results.leave("key", "me")
    while follow("me") != "cancelled":
        pass
    # Whoever has left it does not start it again by a tick that was on its way.
    assert follow("me") == "cancelled"
    # Somebody else's page waits: its ticks went to another server, which is gone.
    assert follow("you") in ("waiting", "running")
    begun.acquire()
    stop.set()
    while follow("you") != "done":
        pass
    assert results.get("key") == 7
