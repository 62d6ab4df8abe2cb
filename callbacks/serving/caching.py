"""What a browser keeps: for good where the address has the content's hash; else it asks if it changed."""

import functools
import re
import sys
from pathlib import Path

from flask import Flask, Request, Response, abort, request

from utils.live.vendor_files import content_hash

# Of assets/ only what a page loads: not its README, not the licences.
BROWSER_FILES = (".js", ".css", ".woff2", ".ico", ".svg", ".png")
# Dash's own files have a hash or a version and a time in their names.
_DASHS_HASH = re.compile(r"/_dash-component-suites/.*\.v[0-9_a-z]+m[0-9]+\.")
_HASH = re.compile(rb"[0-9a-f]{12,64}")
YEAR = 31_536_000


def has_hash(asked: Request) -> bool:
    """Whether an address says which content stands there."""
    # The icons' style sheet names its font with a hash and nothing else.
    return bool(asked.args.get("v") or _HASH.fullmatch(asked.query_string)) or bool(
        _DASHS_HASH.search(asked.path)
    )


@functools.cache
def _hash_of(path: Path, changed: int) -> str:
    return content_hash(path.read_bytes())


def with_content_hashes(tags: str, prefix: str, assets: Path) -> str:
    """The tags of the page's scripts and styles, each file by its content's hash.

    Dash names an asset by its time, which is another on every machine, and Plotly's script by nothing.

    Args:
        tags: HTML.
        prefix: what addresses of the app begin with.
        assets: the folder of the assets.
    """

    def asset(found: re.Match[str]) -> str:
        return _addressed(found[1], assets / found[2])

    def packaged(found: re.Match[str]) -> str:
        folder = Path(str(sys.modules[found[2]].__file__)).parent
        return found[1] if _DASHS_HASH.search(found[1]) else _addressed(found[1], folder / found[3])

    tags = re.sub(rf"({re.escape(prefix)}assets/([^\"?]+))\?m=[0-9.]+", asset, tags)
    return re.sub(rf"({re.escape(prefix)}_dash-component-suites/([a-z_]+)/([^\"?]+))", packaged, tags)


def _addressed(address: str, path: Path) -> str:
    return f"{address}?v={_hash_of(path, path.stat().st_mtime_ns)}"


def register_caching(server: Flask, assets: str) -> None:
    """Set what may be kept on every answer to a GET; call it after `register_compression`.

    Args:
        server: the Flask server.
        assets: what paths of assets begin with.
    """

    @server.before_request
    def hide() -> None:
        if request.path.startswith(assets) and not request.path.endswith(BROWSER_FILES):
            abort(404)

    @server.after_request
    def keep(answer: Response) -> Response:
        if request.method != "GET" or answer.status_code != 200 or answer.cache_control.no_store:
            return answer
        # A file is read whole, so that it is compressed once and not each time.
        answer.direct_passthrough = False
        answer.get_data()
        answer.headers.pop("Last-Modified", None)
        answer.cache_control.clear()
        if has_hash(request):
            answer.cache_control.public = True
            answer.cache_control.max_age = YEAR
            answer.cache_control.immutable = True
        else:
            answer.cache_control.no_cache = True
        answer.add_etag(overwrite=True)
        return answer
