"""What the answers say to the browser about what their pages may do.

Scripts come from this server alone and nothing is made a script from text: no `unsafe-eval`, no inline script
but the few that Dash writes, by their hashes. Styles may stand inline: Plotly, BertViz and Dash set them so.
"""

from collections.abc import Collection, Sequence

from flask import Flask, Response

EVERY = {"X-Content-Type-Options": "nosniff"}
# What only a document can have; a callback's answer would be twice as long with it.
DOCUMENT = {
    # A link holds the prompt: other sites are told nothing of it.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
NO_DOCUMENTS = frozenset(
    {"application/json", "text/javascript", "application/javascript", "text/css", "font/woff2"}
)
POLICY = "Content-Security-Policy"


def page_policy(script_hashes: Sequence[str], embed_in: Collection[str] = ()) -> str:
    """The policy of the app's page.

    Args:
        script_hashes: of the page's inline scripts, as `Dash.csp_hashes` gives them.
        embed_in: sites that may show the page in a frame ("https://moodle.example").
    """
    return _policy(
        {
            "default-src": "'none'",
            "script-src": " ".join(("'self'", *script_hashes)),
            "style-src": "'self' 'unsafe-inline'",
            # data: Plotly's figures as PNG; blob: the files that are saved.
            "img-src": "'self' data: blob:",
            "font-src": "'self' data:",
            "connect-src": "'self'",
            "frame-src": "'self'",
            "base-uri": "'none'",
            "form-action": "'none'",
            "frame-ancestors": " ".join(("'self'", *embed_in)),
        }
    )


def frame_policy() -> str:
    """The policy of BertViz's frame: an origin of its own, the vendored scripts, and nothing else."""
    return _policy(
        {
            "default-src": "'none'",
            "script-src": "'self'",
            "style-src": "'unsafe-inline'",
            "base-uri": "'none'",
            "form-action": "'none'",
            "frame-ancestors": "'self'",
            "sandbox": "allow-scripts",
        }
    )


def _policy(rules: dict[str, str]) -> str:
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def register_headers(server: Flask, policy: str, embedded: bool) -> None:
    """Set them on every answer, and on every document, that does not say otherwise.

    Args:
        server: the Flask server.
        policy: the page's.
        embedded: whether other sites may show the page in a frame; browsers that know no policy are told too.
    """
    document = {**EVERY, **DOCUMENT, POLICY: policy} | ({} if embedded else {"X-Frame-Options": "SAMEORIGIN"})

    @server.after_request
    def set_headers(answer: Response) -> Response:
        # A document is whatever a browser might show as a page; scripts, styles and JSON are none.
        shown = answer.mimetype not in NO_DOCUMENTS
        for name, value in (document if shown else EVERY).items():
            answer.headers.setdefault(name, value)
        return answer
