"""Results that several servers share through Redis: small ones that cost a forward or many.

It is a help and never needed: where Redis is away or slow, where an entry is unsigned, damaged or of other
code, there is no result and it is computed. An entry's name and its signature are made with a secret that the
servers share, so that nobody else can put a result there, and no prompt can be read from a name. They also
depend on the model's weights, on where and how it runs, on this code and on its libraries.
"""

import hashlib
import hmac
import json
import logging
import threading
import time
from collections.abc import Callable, Hashable
from functools import cache
from pathlib import Path
from typing import Any, Generic, TypeVar

from utils.errors import UserFacingError
from utils.runtime.provenance import library_versions
from utils.runtime.typed_bytes import MisfitError, from_bytes, plain, to_bytes

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

ROOT = Path(__file__).resolve().parents[2]
# Where results are computed: another file there, other entries.
CODE = ("utils", "retrieval")
# How long Redis may take for an answer, in seconds: less than what is shared takes to compute.
PATIENCE = 0.25
# How long it is left alone once it did not answer, in seconds.
REST = 10.0
# How long an entry is kept, in seconds.
KEPT = 24 * 3600
# What is larger is not shared; logits of the largest vocabularies take 1 MB.
MAX_BYTES = 4 * 2**20
MIN_SECRET = 32
SIGNATURE_BYTES = 32
NAMES = "headscope:"


def read_secret(path: Path | None) -> bytes:
    """The secret of a file, without the spaces around it.

    Raises:
        UserFacingError: there is none, or too short a one.
    """
    if path is None:
        raise UserFacingError(
            "A shared cache needs a secret that its servers share.",
            "Make one with `openssl rand -hex 32 > FILE` and name it with --cache-secret FILE.",
        )
    try:
        secret = path.read_bytes().strip()
    except OSError as error:
        raise UserFacingError(
            f"The secret of the shared cache cannot be read ({error.strerror}).",
            "Name a file that this user may read with --cache-secret.",
        ) from None
    if len(secret) < MIN_SECRET:
        raise UserFacingError(
            f"The secret of the shared cache has {len(secret)} characters, which is too short.",
            f"Give it at least {MIN_SECRET}: `openssl rand -hex 32 > FILE`.",
        )
    return secret


@cache
def code_digest() -> str:
    """Another one for other code, or other libraries, that results come from."""
    whole = hashlib.sha256(json.dumps(library_versions(), sort_keys=True).encode())
    for path in sorted(path for folder in CODE for path in (ROOT / folder).rglob("*.py")):
        whole.update(str(path.relative_to(ROOT)).encode() + b"\0")
        whole.update(hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()


class SharedCache:
    """Bytes by key, in a Redis that may be away; safe for threads.

    Args:
        url: "redis://127.0.0.1:6379/0", "rediss://...", "unix:///run/redis.sock".
        secret: what the servers share.
        rest: how long Redis is left alone once it did not answer, in seconds.

    Attributes:
        hits: how many keys were found.
        misses: how many were not, or not good.
        is_away: whether Redis did not answer when it was last asked.

    Raises:
        UserFacingError: `url` is none.
    """

    def __init__(self, url: str, secret: bytes, rest: float = REST) -> None:
        # Few servers share one, and to import this takes a good part of a tenth of a second.
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        self._failures = (redis.RedisError, OSError)
        try:
            self._redis = redis.Redis.from_url(
                url,
                socket_timeout=PATIENCE,
                socket_connect_timeout=PATIENCE,
                # A second try is another wait.
                retry=Retry(NoBackoff(), 0),
            )
        except ValueError:  # its text has the address, which may hold a password
            raise UserFacingError(
                "The address of the shared cache is none.", "Write it like redis://127.0.0.1:6379."
            ) from None
        self._secret = secret
        self._rest = rest
        self._guard = threading.Lock()
        self._asked_again_at = 0.0
        self.hits = self.misses = 0
        self.is_away = False

    def get(self, key: bytes) -> bytes | None:
        """What was put under `key`; None where nothing is, or nothing that one of the servers has put."""
        # No more is read than an entry may have, whatever stands there.
        entry = self._ask(
            lambda: self._redis.getrange(self._name(key), 0, SIGNATURE_BYTES + MAX_BYTES), default=b""
        )
        value = entry[SIGNATURE_BYTES:]
        found = bool(entry) and hmac.compare_digest(entry[:SIGNATURE_BYTES], self._signature(key, value))
        if entry and not found:
            logger.warning("an entry of the shared cache is not signed with our secret and is left out")
        with self._guard:
            self.hits += found
            self.misses += not found
        return value if found else None

    def put(self, key: bytes, value: bytes) -> None:
        """Share `value` under `key` for a day, unless it is too large."""
        if len(value) <= MAX_BYTES:
            entry = self._signature(key, value) + value
            self._ask(lambda: self._redis.set(self._name(key), entry, ex=KEPT), default=None)

    def _name(self, key: bytes) -> str:
        return NAMES + hmac.digest(self._secret, b"name\0" + key, "sha256").hex()

    def _signature(self, key: bytes, value: bytes) -> bytes:
        whole = b"value\0" + len(key).to_bytes(8, "little") + key + value
        return hmac.digest(self._secret, whole, "sha256")

    def _ask(self, command: Callable[[], Any], default: Any) -> Any:
        """What Redis answers; `default` where it does not, or did not a moment ago."""
        with self._guard:
            if time.monotonic() < self._asked_again_at:
                return default
        try:
            answer = command()
        except self._failures as error:
            with self._guard:
                first, self.is_away = not self.is_away, True
                self._asked_again_at = time.monotonic() + self._rest
            if first:
                # Its text may hold the address.
                logger.warning(
                    "the shared cache does not answer (%s): results are computed here until it does",
                    type(error).__name__,
                )
            return default
        with self._guard:
            back, self.is_away = self.is_away, False
        if back:
            logger.info("the shared cache answers again")
        return answer


class SharedResults(Generic[Result]):
    """Results of one type.

    Args:
        cache: where they are; None where nothing is shared.
        kind: their type: a tensor, or a dataclass that `typed_bytes` can write.
        model: what a model's results depend on besides its name, by the name: its weights, where it runs.
    """

    def __init__(
        self, cache: SharedCache | None, kind: type[Result], model: Callable[[str], Hashable]
    ) -> None:
        self._cache = cache
        self._kind = kind
        self._model = model

    def get(self, key: tuple[Any, ...]) -> Result | None:
        """The result of a key, whose first part is the model's name; None where there is none to trust."""
        cache, name = self._cache, self._named(key)
        data = None if cache is None or name is None else cache.get(name)
        if data is None:
            return None
        try:
            return from_bytes(self._kind, data)
        except MisfitError as error:
            logger.warning("an entry of the shared cache is left out: %s", error)
            return None

    def put(self, key: tuple[Any, ...], result: Result) -> None:
        """Share a result."""
        name = self._named(key)
        if self._cache is not None and name is not None:
            self._cache.put(name, to_bytes(result))

    def _named(self, key: tuple[Any, ...]) -> bytes | None:
        if self._cache is None:
            return None
        try:
            about = self._model(key[0])
        except UserFacingError:  # its weights changed since: nothing can be said of them
            return None
        parts = [self._kind.__name__, code_digest(), plain(about), plain(key)]
        return json.dumps(parts, ensure_ascii=True).encode()
