"""What the server answers while the app is being built, which takes seconds: a page that waits for it.

Everything is answered 503, so that whoever asks by program (a proxy, an open page of an earlier server) asks
again. Nothing here imports Dash or torch.
"""

import base64
import hashlib
import html
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

HEALTH = "healthz"
# By this the page knows the answer from one of the app's, and from a proxy's.
MARK = ("X-HeadScope", "starting")
_FOLDER = Path(__file__).parent

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class StartingApp:
    """A WSGI application: the starting page, until there is an app to hand everything on to.

    Args:
        embed_in: sites that may show the page in a frame ("https://moodle.example").

    Attributes:
        stage: what is being done, for people; may be set at any time.
    """

    def __init__(self, embed_in: Collection[str] = ()) -> None:
        self.stage = "Reading the settings …"
        self._app: Wsgi | None = None
        self._script = (_FOLDER / "starting.js").read_text(encoding="utf-8")
        self._page = (_FOLDER / "starting.html").read_text(encoding="utf-8")
        frames = " ".join(("'self'", *embed_in))
        script = base64.b64encode(hashlib.sha256(self._script.encode()).digest()).decode()
        self._policy = (
            f"default-src 'none'; script-src 'sha256-{script}'; style-src 'unsafe-inline'; img-src data:; "
            f"connect-src 'self'; base-uri 'none'; frame-ancestors {frames}"
        )

    def hand_over(self, app: Wsgi) -> None:
        """Let `app` answer from now on."""
        self._app = app

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request."""
        app = self._app
        if app is not None:
            return app(environ, start_response)
        more, content = self._answer(environ)
        headers = [
            MARK,
            ("Retry-After", "1"),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            ("Content-Length", str(len(content))),
        ]
        start_response("503 Service Unavailable", headers + more)
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else content]

    def _answer(self, environ: dict[str, Any]) -> tuple[list[tuple[str, str]], bytes]:
        if environ["PATH_INFO"].rpartition("/")[2] == HEALTH:
            return [("Content-Type", "text/plain; charset=utf-8")], b"starting"
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return [("Content-Type", "text/plain; charset=utf-8")], b"HeadScope is starting. Ask again.\n"
        page = self._page.replace("%SCRIPT%", self._script).replace("%STAGE%", html.escape(self.stage))
        kind = ("Content-Type", "text/html; charset=utf-8")
        return [kind, ("Content-Security-Policy", self._policy)], page.encode()
