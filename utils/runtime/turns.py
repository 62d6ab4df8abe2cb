"""Turns at what only one thread may use at a time, such as a model: fair among those who ask, and bounded.

Who asks is told once for a request (`asking`) and holds for all that its thread waits for. Of those who wait
the one whose session was served longest ago is next; long work waits for short, but not for ever. A newer
request of the same page takes the place of its older ones, and a request of a page does not wait longer than
its patience: the page says how many are before it and asks again, so that nobody holds a thread for someone
who has left.
"""

import contextlib
import itertools
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field

from cachetools import LRUCache

# Requests of pages that may wait at once, for all models together. Fewer than the server's threads
# (`serving.THREADS`): styles, scripts and short answers always find one.
MAX_WAITING = 224
# How many short pieces of work may go before a long one that waits.
MAX_PASSED = 20
# Sessions whose last turn is remembered.
REMEMBERED_SESSIONS = 4096


class BusyError(Exception):
    """There is no turn for this request now; its page should ask again.

    Attributes:
        before: how many sessions are before it.
    """

    def __init__(self, before: int) -> None:
        super().__init__(f"{before} before you")
        self.before = before


class ReplacedError(Exception):
    """A newer request of the same page for the same thing has come: nobody waits for this answer."""


@dataclass(frozen=True)
class Asker:
    """For whom a thread works.

    Attributes:
        session: the visit; "" for the server itself.
        request: what of its page is asked for; a newer request of the same takes its place. "" where none
            does.
        patience: how long it waits for one turn, in seconds; None for as long as it takes.
        long: whether short work goes first.
    """

    session: str = ""
    request: str = ""
    patience: float | None = None
    long: bool = False


_THE_SERVER = Asker()
_asker: ContextVar[Asker] = ContextVar("asker", default=_THE_SERVER)


@contextlib.contextmanager
def asking(asker: Asker) -> Iterator[None]:
    """Work for `asker` within the block, in this thread."""
    token = _asker.set(asker)
    try:
        yield
    finally:
        _asker.reset(token)


def current_asker() -> Asker:
    """For whom this thread works."""
    return _asker.get()


@dataclass(eq=False)
class Ticket:
    """A place in the line, from `Turns.turn`; whoever does its work on the way says so (`Turns.finish`)."""

    asker: Asker = field(default_factory=current_asker)
    number: int = 0
    passed: int = 0
    state: str = "new"  # then "waiting", and "turn", "finished" or "replaced"
    called: threading.Event = field(default_factory=threading.Event)


class _WaitingRoom:
    """How many requests of pages wait, wherever; a number behind a lock."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._count = 0
        self._guard = threading.Lock()

    @property
    def count(self) -> int:
        """How many wait."""
        return self._count

    def enter(self) -> bool:
        with self._guard:
            if self._count >= self.most:
                return False
            self._count += 1
            return True

    def leave(self) -> None:
        with self._guard:
            self._count -= 1


waiting_room = _WaitingRoom(MAX_WAITING)


class Turns:
    """A lock that is taken in turns, as the module says; a thread that has the turn may take it again."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._owner: int | None = None
        self._depth = 0
        self._line: list[Ticket] = []
        self._numbers = itertools.count(1)
        # When a session had its last turn, as the number of that turn.
        self._served: LRUCache[str, int] = LRUCache(REMEMBERED_SESSIONS)

    @property
    def taken(self) -> bool:
        """Whether somebody has the turn."""
        return self._owner is not None

    @property
    def waiting(self) -> int:
        """How many wait for a turn."""
        return len(self._line)

    def __enter__(self) -> None:
        self._take(Ticket())

    def __exit__(self, *exception: object) -> None:
        self._give()

    @contextlib.contextmanager
    def turn(self, ticket: Ticket) -> Iterator[bool]:
        """A turn for `ticket` within the block.

        Yields:
            Whether there is something left to do: False, without a turn, where another has done it meanwhile.

        Raises:
            BusyError: no turn came in the asker's patience, or too many wait.
            ReplacedError: a newer request took its place.
        """
        mine = self._take(ticket)
        try:
            yield mine
        finally:
            if mine:
                self._give()

    def finish(self, ticket: Ticket) -> None:
        """What `ticket` waits to do is done: it goes on without a turn."""
        with self._guard:
            self._call(ticket, "finished")

    def _take(self, ticket: Ticket) -> bool:
        me = threading.get_ident()
        with self._guard:
            if self._owner == me:
                self._depth += 1
                return True
            if self._owner is None and not self._line:
                self._give_to(ticket, me)
                return True
            if ticket.state == "new":
                self._replace_older(ticket.asker)
                ticket.number, ticket.state = next(self._numbers), "waiting"
                self._line.append(ticket)
        if not self._wait(ticket):
            self._give_up(ticket)
        if ticket.state == "replaced":
            raise ReplacedError
        if ticket.state == "finished":
            return False
        with self._guard:
            self._owner, self._depth = me, 1
        return True

    def _wait(self, ticket: Ticket) -> bool:
        """Wait to be called; False where the asker lost patience, or too many wait already."""
        hurried = ticket.asker.patience is not None
        if hurried and not waiting_room.enter():
            return False
        try:
            return ticket.called.wait(ticket.asker.patience)
        except BaseException:
            # Ctrl+C while it waits: its place must not be given a turn that nobody takes.
            self._abandon(ticket)
            raise
        finally:
            if hurried:
                waiting_room.leave()

    def _give_to(self, ticket: Ticket, owner: int) -> None:
        self._owner, self._depth = owner, 1
        ticket.state = "turn"
        self._note(ticket.asker)

    def _note(self, asker: Asker) -> None:
        self._served[asker.session] = next(self._numbers)

    def _replace_older(self, asker: Asker) -> None:
        if not asker.session or not asker.request:
            return
        for older in list(self._line):
            if (older.asker.session, older.asker.request) == (asker.session, asker.request):
                self._call(older, "replaced")

    def _call(self, ticket: Ticket, state: str) -> None:
        if ticket.state == "waiting":
            self._line.remove(ticket)
            ticket.state = state
            ticket.called.set()

    def _give_up(self, ticket: Ticket) -> None:
        """Leave the line without a turn; where it has been called in this very moment, it goes on.

        Raises:
            BusyError: it left.
        """
        with self._guard:
            if ticket.state != "waiting":
                return
            before = self._before(ticket)
            self._line.remove(ticket)
        raise BusyError(before)

    def _abandon(self, ticket: Ticket) -> None:
        with self._guard:
            if ticket.state == "waiting":
                self._line.remove(ticket)
            elif ticket.state == "turn":
                self._owner, self._depth = None, 0
                self._call_next()

    def _before(self, ticket: Ticket) -> int:
        place = sorted(self._line, key=self._place).index(ticket)
        ahead = sorted(self._line, key=self._place)[:place]
        others = {other.asker.session for other in ahead} - {ticket.asker.session}
        return len(others) + 1  # and the one whose turn it is

    def _place(self, ticket: Ticket) -> tuple[bool, int, int]:
        behind = ticket.asker.long and ticket.passed < MAX_PASSED
        return behind, self._served.get(ticket.asker.session, 0), ticket.number

    def _give(self) -> None:
        with self._guard:
            self._depth -= 1
            if self._depth == 0:
                self._owner = None
                self._call_next()

    def _call_next(self) -> None:
        if not self._line:
            return
        following = min(self._line, key=self._place)
        for other in self._line:
            if other.asker.long and not following.asker.long:
                other.passed += 1
        self._note(following.asker)
        # Nobody else's from here on; the thread that is called writes its own name in.
        self._owner = 0
        self._call(following, "turn")
