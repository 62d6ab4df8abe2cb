"""Addresses of the app's pages, wherever below the server's name the app is served (`--prefix`)."""

from flask import has_request_context, request


def root() -> str:
    """What the addresses of the app that is asked begin with: "/headscope", "" at the top of a server."""
    return request.script_root if has_request_context() else ""


def address(path: str) -> str:
    """Where a browser finds what the app has at `path`, which begins with a slash: "/headscope/catalog"."""
    return f"{root()}{path}"


def path_of(address: str) -> str:
    """The app's own path at an address of the browser: "/catalog"."""
    prefix = root()
    return address[len(prefix) :] or "/" if address == prefix or address.startswith(f"{prefix}/") else address
