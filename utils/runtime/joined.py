"""Pieces of work that wait for the same turn, done together where that is faster, each asked for once.

Whoever gets the turn does its own piece and takes others that wait along; those go on without a turn of their
own. Nobody waits for a batch to fill: what comes while one runs makes up the next.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from utils.runtime.turns import Ticket, Turns

Item = TypeVar("Item")
Raw = TypeVar("Raw")
Result = TypeVar("Result")


@dataclass(eq=False)
class _Piece(Generic[Item, Raw, Result]):
    item: Item
    tickets: list[Ticket] = field(default_factory=list)
    taken: bool = False
    raw: Raw | None = None
    result: Result | None = None
    error: BaseException | None = None
    done: bool = False
    finishing: threading.Lock = field(default_factory=threading.Lock)


class JoinedWork(Generic[Item, Raw, Result]):
    """Does pieces of one kind of work, in turns, several at once.

    Args:
        run: does some items, in a turn; their raw results in the same order.
        choose: which of some items go together: places, the first always among them.
        finish: makes the result of an item out of its raw one, outside the turn and once however many ask.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Item]], Sequence[Raw]],
        choose: Callable[[Sequence[Item]], Sequence[int]],
        finish: Callable[[Item, Raw], Result],
    ) -> None:
        self._run, self._choose, self._finish = run, choose, finish
        self._open: dict[Turns, OrderedDict[Hashable, _Piece[Item, Raw, Result]]] = {}
        self._guard = threading.Lock()

    def get(self, turns: Turns, key: Hashable, item: Item) -> Result:
        """The result of an item, done by whoever gets the turn first.

        Args:
            turns: what the work needs a turn at; only items of the same one go together.
            key: what is asked for: of equal keys one is done.
            item: the piece of work.

        Raises:
            BusyError: as `Turns.turn`; `ReplacedError` likewise. And whatever the work itself raises.
        """
        ticket = Ticket()
        with self._guard:
            waiting = self._open.setdefault(turns, OrderedDict())
            piece = waiting.setdefault(key, _Piece(item))
            piece.tickets.append(ticket)
        try:
            with turns.turn(ticket) as mine:
                if mine and not piece.done:
                    self._do(turns, piece)
        finally:
            with self._guard:
                piece.tickets.remove(ticket)
                if not piece.tickets and not piece.taken:
                    self._close(turns, piece)
        if piece.error is not None:
            raise piece.error
        with piece.finishing:
            if piece.result is None:
                piece.result = self._finish(piece.item, piece.raw)  # type: ignore[arg-type]
        return piece.result

    def _do(self, turns: Turns, first: _Piece[Item, Raw, Result]) -> None:
        with self._guard:
            waiting = [
                piece for piece in self._open[turns].values() if piece is not first and not piece.taken
            ]
            pieces = [first, *waiting]
            pieces = [pieces[place] for place in self._choose([piece.item for piece in pieces])]
            for piece in pieces:
                piece.taken = True
        try:
            self._try(pieces)
        finally:
            with self._guard:
                for piece in pieces:
                    piece.done = True
                    self._close(turns, piece)
                tickets = [ticket for piece in pieces for ticket in piece.tickets]
            for ticket in tickets:
                turns.finish(ticket)

    def _try(self, pieces: Sequence[_Piece[Item, Raw, Result]]) -> None:
        try:
            results = self._run([piece.item for piece in pieces])
        except Exception as error:
            if len(pieces) == 1:
                pieces[0].error = error
                return
            # What is wrong with one must not hit the others.
            for piece in pieces:
                self._try([piece])
        except BaseException as error:
            for piece in pieces:
                piece.error = error
            raise
        else:
            for piece, raw in zip(pieces, results, strict=True):
                piece.raw = raw

    def _close(self, turns: Turns, piece: _Piece[Item, Raw, Result]) -> None:
        waiting = self._open.get(turns, OrderedDict())
        for key in [key for key, other in waiting.items() if other is piece]:
            del waiting[key]
        if not waiting:
            self._open.pop(turns, None)
