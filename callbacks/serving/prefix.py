"""The app below a path of a reverse proxy's server: one place that takes the path off each request.

What follows sees paths as without a prefix, and in `request.script_root` what a browser has to put before
them (`components/addresses.py`). So a proxy may hand the path on as the browser sent it, or take it off.
"""

from collections.abc import Callable, Iterable
from typing import Any

from flask import Flask
from werkzeug.utils import redirect


class BelowPrefix:
    """A WSGI application whose addresses begin with a prefix.

    Args:
        application: what answers.
        prefix: begins with a slash and ends with none.
    """

    def __init__(self, application: Callable[..., Iterable[bytes]], prefix: str) -> None:
        self._application = application
        self._prefix = prefix

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer a request."""
        path = environ.get("PATH_INFO", "")
        if path == self._prefix:
            # The page's address ends with a slash, or what is beside it would be sought one folder up.
            query = environ.get("QUERY_STRING")
            return redirect(f"{path}/{f'?{query}' if query else ''}", 308)(environ, start_response)
        if path.startswith(f"{self._prefix}/"):
            path = path[len(self._prefix) :]
        return self._application({**environ, "SCRIPT_NAME": self._prefix, "PATH_INFO": path}, start_response)


def register_prefix(server: Flask, prefix: str) -> None:
    """Serve below `prefix`; call it last. "" serves at the top."""
    if prefix:
        server.wsgi_app = BelowPrefix(server.wsgi_app, prefix)
