"""Everything that is sent is sent small: brotli where the browser takes it (all of today's do), else gzip.

Nothing that is sent holds a secret, so a stranger learns nothing from how small it becomes.
"""

import threading

from cachetools import LRUCache
from flask import Flask, Request, Response, request
from flask_compress import Compress

from callbacks.serving.caching import has_hash

# 5 takes 2 ms for what one click sends.
BROTLI_QUALITY = 5
# Files, compressed once: all of them take 3 MB.
KEPT_BYTES = 16 * 2**20


class CompressedFiles:
    """What stands at addresses with a hash, compressed; safe for threads, as flask-compress's cache."""

    def __init__(self) -> None:
        self._files: LRUCache[str, bytes] = LRUCache(KEPT_BYTES, len)
        self._guard = threading.Lock()

    def get(self, key: str) -> bytes | None:
        """The compressed file, None where it is not kept."""
        with self._guard:
            return self._files.get(key)

    def set(self, key: str, content: bytes) -> None:
        """Keep it, unless it is an answer that may be another one next time."""
        if not key.endswith(";") and len(content) <= KEPT_BYTES:
            with self._guard:
                self._files[key] = content


def _cache_key(request: Request) -> str:
    return request.full_path if request.method == "GET" and has_hash(request) else ""


def register_compression(server: Flask) -> None:
    """Compress every answer of text above 500 bytes."""
    server.config.update(
        COMPRESS_ALGORITHM=["br", "gzip"],
        COMPRESS_BR_LEVEL=BROTLI_QUALITY,
        COMPRESS_CACHE_BACKEND=CompressedFiles,
        COMPRESS_CACHE_KEY=_cache_key,
    )

    @server.after_request
    def without_vary(answer: Response) -> Response:
        # Nobody keeps the answer to a POST, so it need not say what else it depends on.
        if request.method == "POST":
            answer.headers.pop("Vary", None)
        return answer

    Compress(server)
