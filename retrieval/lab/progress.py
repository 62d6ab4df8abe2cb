"""How far a reading is, layer by layer: a forward of a filing takes seconds, in which the bar has to move."""

import contextlib
from collections.abc import Iterator

from utils.forward.layer_replay import heard_layers
from utils.models.loading import LoadedModel
from utils.runtime.jobs import CancelledError, Progress


class TokenProgress:
    """Tells a job's progress in tokens times layers.

    Args:
        progress: the job's.
        total: how many there are to be, or somewhat more; what is beyond them is not told.
        what: what is being done at first.
        least: a forward counts as so many tokens at least, since its time is that of reading the weights.
    """

    def __init__(self, progress: Progress, total: int, what: str, least: int = 1) -> None:
        self._progress = progress
        self._total = total
        self._least = least
        self._done = 0
        self._what = what

    def step(self, what: str) -> None:
        """Tell what is done next.

        Raises:
            CancelledError: nobody waits any more.
        """
        self._what = what
        self._progress(what, self._done, self._total)

    @contextlib.contextmanager
    def listening(self, loaded: LoadedModel) -> Iterator[None]:
        """Count the tokens that go through the model's layers within the block."""
        with heard_layers(loaded, self._add):
            self.step(self._what)
            yield

    def _add(self, tokens: int) -> None:
        self._done = min(self._done + max(tokens, self._least), self._total)
        # The forward goes on to its end; the next step raises it again.
        with contextlib.suppress(CancelledError):
            self._progress(self._what, self._done, self._total)
