"""The address by which a page, or a proxy, sees that the server is there."""

from flask import Flask, Response

HEALTH_PATH = "/healthz"


def register_health_route(server: Flask) -> None:
    """Add the route: "ok", whatever the models do, and never from a cache."""

    def answer() -> Response:
        return Response("ok", mimetype="text/plain", headers={"Cache-Control": "no-store"})

    server.add_url_rule(HEALTH_PATH, "health", answer)
