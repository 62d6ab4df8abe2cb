"""How the app is served: by waitress, to as many browsers at once as a class has; how it begins and ends.

The port is taken first of all, before anything is loaded or said. Ctrl+C and SIGTERM end the process with
status 0: the server stops, then the jobs are asked to end and waited for. A thread still in a forward
when the interpreter shuts down would abort the process, so one that does not end in time is left behind
(`end_process`).
"""

import errno
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NoReturn

from waitress.server import create_server

from utils.errors import UserFacingError
from utils.runtime.jobs import stop_all
from utils.runtime.turns import MAX_WAITING

try:
    import resource
except ImportError:  # Windows, which has no such limit
    resource = None

# Requests that wait for a model hold one each (`turns.MAX_WAITING` at most), and the others must not wait
# for them.
THREADS = MAX_WAITING + 32
# A browser holds about seven connections open, so this is a class of more than a hundred.
MAX_CONNECTIONS = 1_000
# What waitress takes unasked: as many go into the fewest open files that a system allows.
MIN_CONNECTIONS = 100
# Windows has select() alone, which takes at most 512 sockets.
MAX_CONNECTIONS_BY_SELECT = 400
# What a browser may send at once; the largest thing that the pages send is a text of the retrieval lab.
MAX_BODY_BYTES = 2 * 2**20
# A connection is a file, and a large answer that it waits for another one.
FILES_PER_CONNECTION = 2
# Open files of everything else: models, catalogs, logs, pipes.
OTHER_FILES = 256
# Ports below belong to the system.
FIRST_FREE_PORT = 1_024
# Connections that wait while the app gets ready.
BACKLOG = 1_024
# How long jobs that were asked to stop are waited for, in seconds: a preset on a large model, an analysis.
JOB_SECONDS = 10
_HOSTS = "Choose another with --host: 127.0.0.1 for this machine alone, 0.0.0.0 for everyone on its network."


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


def open_sockets(host: str, port: int) -> list[socket.socket]:
    """Sockets that listen at every address that `host` stands for; whoever connects waits for the server.

    Args:
        host: a name or an address of this machine, IPv6 with or without brackets.
        port: from 1 to 65535, or 0 for any free one.

    Raises:
        UserFacingError: the port is in use or reserved, or the host is not this machine's.
    """
    try:
        found = socket.getaddrinfo(
            host.removeprefix("[").removesuffix("]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, ValueError):  # ValueError: a name that no host can have
        raise UserFacingError(f"There is no host {host!r}.", _HOSTS) from None
    problem: OSError | None = None
    with ExitStack() as opened:
        sockets = []
        for family, _, _, _, address in dict.fromkeys(found):
            try:
                listening = socket.create_server(address, family=family, backlog=BACKLOG)
            except OSError as error:
                problem = error
                # "localhost" has an IPv6 address also on machines that do not.
                if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    continue
                raise _message(error, host, port) from error
            sockets.append(opened.enter_context(listening))
        if problem is not None and not sockets:
            raise _message(problem, host, port) from problem
        opened.pop_all()
    return sockets


def _message(error: OSError, host: str, port: int) -> UserFacingError:
    if error.errno == errno.EADDRINUSE:
        return UserFacingError(
            f"Port {port} on {host} is in use.", "End what uses it, or choose another with --port."
        )
    if error.errno == errno.EACCES and port < FIRST_FREE_PORT:
        return UserFacingError(
            f"Port {port} is reserved for the system's administrator.",
            f"Choose one from {FIRST_FREE_PORT} on with --port.",
        )
    if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
        return UserFacingError(f"{host} is not an address of this machine.", _HOSTS)
    return UserFacingError(
        f"Port {port} on {host} cannot be used ({os.strerror(error.errno or 0)}).",
        "Choose another with --port, or another host with --host.",
    )


def address(host: str, port: int) -> str:
    """Where a browser finds the app: "http://127.0.0.1:8050", "http://[::1]:8050"."""
    bare = host.removeprefix("[").removesuffix("]")
    return f"http://[{bare}]:{port}" if ":" in bare else f"http://{bare}:{port}"


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
        # Refused from this size on, before more is read; of a body without a length, when that much has come.
        max_request_body_size=MAX_BODY_BYTES + 1,
        # No Server header: it tells a stranger something and is sent with every answer.
        ident=None,
        **where,
    )


@contextmanager
def until_interrupted(sockets: Sequence[socket.socket]) -> Iterator[None]:
    """Ctrl+C or SIGTERM ends what is done within, at any time; then jobs are stopped and `sockets` closed.

    While it ends, another Ctrl+C ends the process at once.
    """

    def interrupt(number: int, frame: Any) -> NoReturn:
        end_at_once()
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        stop_all(JOB_SECONDS)
        for listening in sockets:
            listening.close()
        for number, handler in before.items():
            signal.signal(number, handler)


def end_at_once() -> None:
    """From here on Ctrl+C and SIGTERM end the process without any ado."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: os._exit(0))


def end_process(status: int) -> NoReturn:
    """End with `status`, also where a thread is still at work that cannot be stopped (a forward, a load)."""
    if threading.active_count() == 1:
        sys.exit(status)
    # The interpreter's own shutdown would take the thread's ground away, and torch then aborts.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
