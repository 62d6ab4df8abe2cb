"""A training history frame by frame: which heads pass for which role at each checkpoint, and in words."""

from dataclasses import dataclass

from utils.formation.history import History
from utils.formation.story import grid_cells, million
from utils.heads import Head
from utils.roles.registry import ROLES


@dataclass(frozen=True)
class HeadAt:
    """One head at one checkpoint.

    Attributes:
        head: which one.
        roles: the roles whose threshold it reaches, with its score; the one that it passes most comes first.
    """

    head: Head
    roles: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class RoleAt:
    """One role at one checkpoint.

    Attributes:
        role: its key.
        passing: how many heads reach its threshold.
        best: the head with the highest score.
        score: that score.
    """

    role: str
    passing: int
    best: Head
    score: float


@dataclass(frozen=True)
class Frame:
    """One checkpoint as the page shows it.

    Attributes:
        tokens: training tokens so far.
        heads: every head, layer by layer.
        roles: every role, in the registry's order.
        sentence: the checkpoint in words.
    """

    tokens: int
    heads: tuple[HeadAt, ...]
    roles: tuple[RoleAt, ...]
    sentence: str


@dataclass(frozen=True)
class Event:
    """A place in the training that is worth going to.

    Attributes:
        name: what happens there, in a few words.
        index: the checkpoint.
    """

    name: str
    index: int


def past_threshold(role: str, score: float) -> float:
    """A score as a multiple of its role's threshold, as thresholds differ from role to role."""
    return score / ROLES[role].threshold


def frame_at(history: History, index: int) -> Frame:
    """What the grid shows at a checkpoint.

    Raises:
        IndexError: there is no such checkpoint.
    """
    point = history.checkpoints[index]
    cells = grid_cells(history, index)
    layers, per_layer = history.shape
    heads = []
    for head in (Head(layer, number) for layer in range(layers) for number in range(per_layer)):
        passed = sorted(cells.get(head, ()), key=lambda cell: -past_threshold(cell.key, cell.live))
        heads.append(HeadAt(head, tuple((cell.key, cell.live) for cell in passed)))
    roles = []
    for key in (role for role in ROLES if role in point.best):
        best, score = point.best[key]
        passing = sum(any(role == key for role, _ in head.roles) for head in heads)
        roles.append(RoleAt(key, passing, best, score))
    return Frame(point.tokens, tuple(heads), tuple(roles), _sentence(history, index, heads))


def _sentence(history: History, index: int, heads: list[HeadAt]) -> str:
    point = history.checkpoints[index]
    passing = sum(bool(head.roles) for head in heads)
    prose = f"loss on prose {point.losses['prose']:.2f} nats a token, " if "prose" in point.losses else ""
    scaffold = any(part.start < point.tokens <= part.end for part in history.scaffolds)
    return (
        f"After {million(point.tokens)} tokens: {prose}accuracy on repeated sequences "
        f"{point.repeated_accuracy:.0%}, {passing} of {len(heads)} heads reach the threshold of a role."
        + (" The scaffold stands." if scaffold else "")
    )


def events(history: History) -> tuple[Event, ...]:
    """The places of a training that a reader wants to jump to, in order of time; each checkpoint once."""
    if history.base is not None:
        # It begins with heads of every kind: when they passed is in the log of its base.
        return (Event(f"{history.base} as it ended", 0), Event("Trained", len(history.tokens) - 1))
    found = [Event("Untrained" if history.tokens[0] == 0 else "First checkpoint", 0)]
    for role, name in (("previous_token", "Previous-token heads"), ("induction", "Induction heads")):
        passing = history.role_passes(role) if role in history.best_scores else None
        if passing is not None:
            found.append(Event(name, history.nearest(passing.tokens)))
    for scaffold in history.scaffolds:
        inside = [k for k, tokens in enumerate(history.tokens) if scaffold.start < tokens <= scaffold.end]
        if inside:
            found.append(Event("Scaffold stands", inside[0]))
            # Checkpoints are some way apart: the last one before it is what it began with.
            if inside[0] > 0:
                found.append(Event("Before the scaffold", inside[0] - 1))
    if (half := history.accuracy_passes()) is not None:
        found.append(Event("Accuracy passes 50%", history.nearest(half.tokens)))
    found.append(Event("Trained", len(history.tokens) - 1))
    found.sort(key=lambda event: event.index)
    first: dict[int, Event] = {}
    for event in found:
        cached = first.setdefault(event.index, event)
        if cached is not event:
            first[event.index] = Event(f"{cached.name}, {event.name[0].lower()}{event.name[1:]}", event.index)
    return tuple(first.values())
