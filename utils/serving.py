"""How the app is served: by waitress, to as many browsers at once as a class has."""

import select
from typing import Any

from waitress.server import create_server

try:
    import resource
except ImportError:  # Windows, which has no such limit
    resource = None

THREADS = 16
# A browser holds about seven connections open, so this is a class of more than a hundred.
MAX_CONNECTIONS = 1_000
# What waitress takes unasked: as many go into the fewest open files that a system allows.
MIN_CONNECTIONS = 100
# Windows has select() alone, which takes at most 512 sockets.
MAX_CONNECTIONS_BY_SELECT = 400
# A connection is a file, and a large answer that it waits for another one.
FILES_PER_CONNECTION = 2
# Open files of everything else: models, catalogs, logs, pipes.
OTHER_FILES = 256


def connection_limit(wanted: int = MAX_CONNECTIONS) -> int:
    """How many connections this process can hold; its limit on open files is raised for them where it may be.

    Args:
        wanted: how many it should hold.

    Returns:
        `wanted`, or fewer where the system allows fewer open files.
    """
    if not hasattr(select, "poll"):
        wanted = min(wanted, MAX_CONNECTIONS_BY_SELECT)
    if resource is None:
        return wanted
    needed = wanted * FILES_PER_CONNECTION + OTHER_FILES
    files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files != resource.RLIM_INFINITY and files < needed:
        raised = needed if most == resource.RLIM_INFINITY else min(needed, most)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (raised, most))
            files = raised
        except (OSError, ValueError):
            pass  # some systems allow fewer than they say; then it stays at what it was
    if files == resource.RLIM_INFINITY or files >= needed:
        return wanted
    return min(wanted, max(MIN_CONNECTIONS, (files - OTHER_FILES) // FILES_PER_CONNECTION))


def make_server(application: Any, **where: Any) -> Any:
    """A waitress server for a WSGI application; its `run()` serves until it is interrupted.

    Args:
        application: the WSGI application.
        where: waitress's `host` and `port`, or `sockets` that listen already.
    """
    return create_server(
        application,
        threads=THREADS,
        connection_limit=connection_limit(),
        # select() breaks on the first connection whose file has a number above 1,023.
        asyncore_use_poll=True,
        ident="HeadScope",
        **where,
    )
