"""Whom the server answers: by which names it may be reached, and which pages may ask it to work.

A page of another site can point a name of its own at this machine (DNS rebinding) and then asks as if it were
ours; what it cannot choose is the name that the browser sends along. So a name has to be known. An address in
numbers needs no list: nobody else's page has it as its own.
"""

import ipaddress
import socket
from collections.abc import Collection
from urllib.parse import urlsplit

from flask import Flask, Response, request

from callbacks.serving.refusal import refuse

LOOPBACK_NAMES = frozenset({"localhost"})
EVERYWHERE = frozenset({"", "0.0.0.0", "::", "[::]", "*"})
DEFAULT_PORTS = {"http": 80, "https": 443}


def host_name(header: str) -> str | None:
    """The name in a Host header ("lab.example:8050"), in lower case; None for what is none."""
    try:
        parts = urlsplit(f"//{header.strip()}")
        name, _ = parts.hostname, parts.port
    except ValueError:
        return None
    return None if not name or parts.path or parts.query or parts.username else name.rstrip(".")


def is_address(name: str) -> bool:
    """Whether a host is written in numbers: "127.0.0.1", "::1"."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def known_names(host: str, allowed: Collection[str] = ()) -> frozenset[str]:
    """The names by which the server may be reached.

    Args:
        host: what it is served on; this machine's own names too where that is everywhere.
        allowed: names that the operator allows.
    """
    own = {socket.gethostname(), socket.getfqdn()} if host in EVERYWHERE else {host}
    return LOOPBACK_NAMES | {name.lower().rstrip(".") for name in (*own, *allowed)}


def is_known(header: str, names: Collection[str]) -> bool:
    """Whether a Host header has one of `names`, or an address in numbers."""
    name = host_name(header)
    return name is not None and (name in names or is_address(name))


def is_own_origin(origin: str, host: str, allowed: Collection[str] = ()) -> bool:
    """Whether a page of `origin` is one of this server's.

    Args:
        origin: the Origin header, "https://lab.example".
        host: the Host header.
        allowed: names that the operator allows: a proxy may hand on another Host than the browser's.
    """
    try:
        page = urlsplit(origin)
        port = page.port or DEFAULT_PORTS.get(page.scheme)
        asked = urlsplit(f"//{host}")
        same = page.hostname == asked.hostname and port == (asked.port or DEFAULT_PORTS.get(page.scheme))
    except ValueError:
        return False
    return page.hostname is not None and (same or page.hostname in {name.lower() for name in allowed})


def register_host_check(server: Flask, path: str, host: str, allowed: Collection[str] = ()) -> None:
    """Answer 403 to whoever reaches the server by an unknown name, and to foreign pages that ask it to work.

    Args:
        server: the Flask server.
        path: where work is asked for, by POST.
        host: what it is served on.
        allowed: names that the operator allows besides.
    """
    names = known_names(host, allowed)

    @server.before_request
    def check() -> Response | None:
        if not is_known(request.host, names):
            return refuse(
                403,
                "This server is not to be reached by that name. Its operator can allow it: --allowed-hosts.",
            )
        if request.method != "POST" or request.path != path:
            return None
        origin = request.headers.get("Origin")
        # Every browser sends an Origin with a POST; what sends none is no page.
        if origin is not None and not is_own_origin(origin, request.host, allowed):
            return refuse(403, "Another site's page may not ask this server to work.")
        return None
