"""Results in a real Redis: good ones come back, whatever else stands there is none, and it may be away."""

import logging
import pickle
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.fixtures.redis_server import RedisServer, redis_server
from utils.errors import UserFacingError
from utils.heads import Head
from utils.live.service import LiveService
from utils.models.store import ModelStore
from utils.runtime.shared_cache import (
    MAX_BYTES,
    SIGNATURE_BYTES,
    SharedCache,
    SharedResults,
    read_secret,
)
from utils.runtime.typed_bytes import to_bytes

SECRET, OTHER_SECRET = b"a" * 32, b"b" * 32
TEXT = "The cat sat on the mat. The cat sat on the"
MODEL = "tiny-gpt2"
# The private prompt of a student, as it stands in keys.
KEY = ("demo", (1, 2, 3), frozenset({Head(0, 1)}), "zero")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def cache(server: RedisServer) -> SharedCache:
    server.client.flushall()
    return SharedCache(server.url, SECRET)


def results(cache: SharedCache | None, weights: str = "weights") -> SharedResults[Tensor]:
    return SharedResults(cache, Tensor, lambda model: (weights, "cpu", "float32"))


def test_another_server_finds_what_one_has_computed(server: RedisServer, cache: SharedCache):
    logits = torch.randn(100)
    assert results(cache).get(KEY) is None
    results(cache).put(KEY, logits)
    other = SharedCache(server.url, SECRET)
    found = results(other).get(KEY)
    assert found is not None and torch.equal(found, logits)
    assert (other.hits, other.misses, cache.hits, cache.misses) == (1, 0, 0, 1)
    # Everything that it depends on is part of its name.
    assert results(other, "other weights").get(KEY) is None
    for changed in (("other", *KEY[1:]), (*KEY[:2], frozenset(), "zero"), (*KEY[:3], "mean")):
        assert results(other).get(changed) is None
    [name] = server.client.keys()
    assert 0 < server.client.ttl(name) <= 24 * 3600
    assert "demo" not in str(name)


def test_only_what_is_signed_with_the_secret_is_a_result(
    server: RedisServer, cache: SharedCache, caplog: pytest.LogCaptureFixture
):
    results(cache).put(KEY, torch.ones(3))
    [name] = server.client.keys()
    good = server.entry(name)
    assert results(SharedCache(server.url, OTHER_SECRET)).get(KEY) is None
    for forged in (
        b"x",
        good[:-1],
        good[:SIGNATURE_BYTES] + to_bytes(torch.zeros(3)),
        pickle.dumps(print),
        b"\0" * (MAX_BYTES + 100),
    ):
        server.client.set(name, forged)
        assert results(cache).get(KEY) is None
    assert all("not signed" in record.getMessage() for record in caplog.records) and caplog.records
    # Something of another type, and an entry in the place of another.
    server.client.delete(name)
    server.client.lpush(name, b"x")
    assert results(cache).get(KEY) is None
    server.client.flushall()
    fresh = SharedCache(server.url, SECRET)
    results(fresh).put(("demo", (9,), frozenset(), "zero"), torch.ones(3))
    [elsewhere] = server.client.keys()
    server.client.rename(elsewhere, name)
    assert results(fresh).get(KEY) is None


def test_signed_bytes_that_are_no_result_are_left_out(cache: SharedCache, caplog: pytest.LogCaptureFixture):
    shared = results(cache)
    name = shared._named(KEY)
    assert name is not None
    cache.put(name, pickle.dumps(print))
    assert shared.get(KEY) is None
    assert "is left out" in caplog.text


def test_what_is_too_large_is_not_shared(server: RedisServer, cache: SharedCache):
    results(cache).put(KEY, torch.zeros(MAX_BYTES))
    assert server.client.keys() == []


def test_a_redis_that_is_away_is_said_once_and_asked_again_later(
    server: RedisServer, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)
    cache = SharedCache(server.url, SECRET, rest=0)
    shared = results(cache)
    server.stop()
    try:
        for _ in range(3):
            shared.put(KEY, torch.ones(3))
            assert shared.get(KEY) is None
        assert [record.getMessage() for record in caplog.records] == [
            "the shared cache does not answer (ConnectionError): results are computed here until it does"
        ]
        assert cache.is_away
    finally:
        server.start()
    shared.put(KEY, torch.ones(3))
    assert shared.get(KEY) is not None and not cache.is_away
    assert [record.getMessage() for record in caplog.records[1:]] == ["the shared cache answers again"]


def test_a_redis_that_does_not_answer_is_left_alone_for_a_while(caplog: pytest.LogCaptureFixture):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        cache = SharedCache(f"redis://:password@127.0.0.1:{silent.getsockname()[1]}", SECRET)
        assert results(cache).get(KEY) is None
        # It would fail now if it were asked.
        cache._redis = None  # pyright: ignore[reportAttributeAccessIssue]
        assert results(cache).get(KEY) is None
    assert "Timeout" in caplog.text and "password" not in caplog.text


def test_a_toggle_is_computed_once_for_two_servers(
    tiny_models_folder: Path, server: RedisServer, cache: SharedCache, monkeypatch: pytest.MonkeyPatch
):
    off = [Head(1, 2)]
    first = LiveService(ModelStore([tiny_models_folder]), shared_cache=cache)
    second = LiveService(ModelStore([tiny_models_folder]), shared_cache=SharedCache(server.url, SECRET))
    alone = LiveService(ModelStore([tiny_models_folder]))
    computed = first.next_token_logits(MODEL, TEXT, off)
    monkeypatch.setattr("utils.live.service.Toggle", None)
    assert torch.equal(second.next_token_logits(MODEL, TEXT, off), computed)
    monkeypatch.undo()
    assert torch.equal(alone.next_token_logits(MODEL, TEXT, off), computed)
    assert not torch.equal(second.next_token_logits(MODEL, TEXT, off, "mean"), computed)


def test_a_secret_is_read_from_a_file_and_long_enough(tmp_path: Path):
    path = tmp_path / "secret"
    path.write_text(f"{'x' * 40}\n")
    assert read_secret(path) == b"x" * 40
    path.write_text("short\n")
    for wrong, message in (
        (None, "openssl rand -hex 32"),
        (path, "5 characters"),
        (tmp_path / "none", "cannot be read"),
    ):
        with pytest.raises(UserFacingError, match=message):
            read_secret(wrong)


def test_an_address_that_is_none_is_refused_without_being_repeated():
    with pytest.raises(UserFacingError) as raised:
        SharedCache("http://user:password@host", SECRET)
    assert "password" not in str(raised.value)
