"""How the heads of a model formed: the curves of its training, and when what was first there.

`training_log` reads a history, `training_story` puts it into words. A scaffold, an extra loss that for a
while pointed some heads at their targets, is part of it: without it the curves would tell of heads that came
about by themselves.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Literal

from utils.heads import Head
from utils.roles.registry import ROLES

# Accuracy on repeated sequences that counts as "can do it".
HALF = 0.5

Standing = Literal["none", "before", "while", "partly", "after"]


@dataclass(frozen=True)
class Scaffold:
    """A stretch of training in which an extra loss pointed some heads at what heads of their role look at.

    Attributes:
        start: tokens at which it began.
        end: tokens at which it was taken away.
        heads: the heads that were pointed, by role.
    """

    start: int
    end: int
    heads: Mapping[str, tuple[Head, ...]]


@dataclass(frozen=True)
class Checkpoint:
    """One line of the log.

    Attributes:
        tokens: training tokens so far.
        context: tokens a row at that time.
        losses: nats a token by kind of text.
        repeated_accuracy: greedy accuracy on the second half of repeated random sequences.
        filing_accuracy: exact matches by question about a filing.
        best: each role's best head and its score.
        role_scores: every head's score, {role: [layer][head]}.
    """

    tokens: int
    context: int
    losses: Mapping[str, float]
    repeated_accuracy: float
    filing_accuracy: Mapping[str, float]
    best: Mapping[str, tuple[Head, float]]
    role_scores: Mapping[str, tuple[tuple[float, ...], ...]]


@dataclass(frozen=True)
class Passing:
    """When a number of the log first reached a level.

    The log has a line now and then, so it happened somewhere after `since` and not later than `tokens`.

    Attributes:
        tokens: the first line that has it.
        since: the line before, None where the first line of all has it.
        value: the number there.
        stays_from: the line from which on it is never lower, None where the last line is below.
        standing: where that lies by the scaffold; "partly" where it stood between the two lines, but not all
            the way; "none" without a scaffold.
        head: whose score it is, None for an accuracy.
    """

    tokens: int
    since: int | None
    value: float
    stays_from: int | None
    standing: Standing
    head: Head | None = None


@dataclass(frozen=True)
class Jump:
    """The largest rise of the accuracy on repeated sequences from one line of the log to the next.

    Attributes:
        since: tokens at the line before.
        tokens: tokens at the line after.
        before: accuracy there.
        after: and there.
        standing: as in `Passing`.
    """

    since: int
    tokens: int
    before: float
    after: float
    standing: Standing


@dataclass(frozen=True)
class History:
    """A model's training.

    Attributes:
        model: its name.
        checkpoints: at least one, in order.
        scaffolds: where heads were pointed at their targets.
        base: the model whose finished weights it began with; None for random ones.
        unaided: it is known that nothing but the loss on the tokens ever told a head where to look.
    """

    model: str
    checkpoints: tuple[Checkpoint, ...]
    scaffolds: tuple[Scaffold, ...] = ()
    base: str | None = None
    unaided: bool = False

    @cached_property
    def tokens(self) -> tuple[int, ...]:
        """The axis of all curves."""
        return tuple(point.tokens for point in self.checkpoints)

    @cached_property
    def losses(self) -> dict[str, tuple[float, ...]]:
        """A curve a kind of text."""
        return {kind: tuple(p.losses[kind] for p in self.checkpoints) for kind in self.checkpoints[0].losses}

    @cached_property
    def repeated_accuracy(self) -> tuple[float, ...]:
        """The curve of accuracy on repeated sequences."""
        return tuple(point.repeated_accuracy for point in self.checkpoints)

    @cached_property
    def filing_accuracy(self) -> dict[str, tuple[float, ...]]:
        """A curve a question."""
        questions = self.checkpoints[0].filing_accuracy
        return {key: tuple(p.filing_accuracy[key] for p in self.checkpoints) for key in questions}

    @cached_property
    def best_scores(self) -> dict[str, tuple[float, ...]]:
        """A curve a role: the score of its best head at that time, which need not be the same head."""
        return {role: tuple(p.best[role][1] for p in self.checkpoints) for role in self.checkpoints[0].best}

    @property
    def shape(self) -> tuple[int, int]:
        """Layers and heads a layer."""
        table = next(iter(self.checkpoints[0].role_scores.values()))
        return len(table), len(table[0])

    def nearest(self, tokens: int) -> int:
        """Index of the checkpoint closest to so many tokens."""
        return min(range(len(self.tokens)), key=lambda index: abs(self.tokens[index] - tokens))

    def role_passes(self, role: str) -> Passing | None:
        """When the role's best head first reaches the role's threshold; None where none ever does."""
        found = self._passes(self.best_scores[role], ROLES[role].threshold)
        if found is None:
            return None
        index, passing = found
        return replace(passing, head=self.checkpoints[index].best[role][0])

    def accuracy_passes(self, level: float = HALF) -> Passing | None:
        """When accuracy on repeated sequences first reaches `level`; None where it never does."""
        found = self._passes(self.repeated_accuracy, level)
        return found[1] if found else None

    def _passes(self, curve: Sequence[float], level: float) -> tuple[int, Passing] | None:
        index = next((k for k, value in enumerate(curve) if value >= level), None)
        if index is None:
            return None
        below = [k for k, value in enumerate(curve) if value < level]
        stays = below[-1] + 1 if below else 0
        since = self.tokens[index - 1] if index else None
        return index, Passing(
            tokens=self.tokens[index],
            since=since,
            value=curve[index],
            stays_from=self.tokens[stays] if stays < len(curve) else None,
            standing=self._standing(since, self.tokens[index]),
        )

    @cached_property
    def jump(self) -> Jump | None:
        """The largest rise of the accuracy; None where it never rises."""
        curve = self.repeated_accuracy
        rises = [(after - before, k) for k, (before, after) in enumerate(pairwise(curve))]
        rise, k = max(rises, default=(0.0, 0))
        if rise <= 0:
            return None
        since, tokens = self.tokens[k], self.tokens[k + 1]
        return Jump(since, tokens, curve[k], curve[k + 1], self._standing(since, tokens))

    def _standing(self, since: int | None, tokens: int) -> Standing:
        """Where something that happened in (since, tokens] lies by the scaffold; the nearest one counts."""
        begin = tokens if since is None else since
        for scaffold in self.scaffolds:
            if begin < scaffold.end and tokens > scaffold.start:
                whole = begin >= scaffold.start and tokens <= scaffold.end
                return "while" if whole else "partly"
        if not self.scaffolds:
            return "none"
        return "before" if tokens <= self.scaffolds[0].start else "after"
