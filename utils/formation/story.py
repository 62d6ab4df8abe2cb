"""A model's training in words: what came first, what followed, and what a scaffold had to do with it."""

from itertools import takewhile

from utils.formation.history import HALF, History, Passing, Scaffold
from utils.heads import Head
from utils.roles.activity import CellRole
from utils.roles.registry import ROLES

# The two roles that the story is about, as heads of them are called in a sentence, and what one looks at.
_HEADS = {"previous_token": "previous-token heads", "induction": "induction heads"}
_TARGETS = {"previous_token": "the previous token", "induction": "what followed the earlier copy"}
# Accuracy without induction heads is reported from here on, while no score comes near the threshold.
TELLING_ACCURACY = 0.25
NEAR = 0.5
LITTLE, MOST = 0.1, 0.9


def grid_cells(history: History, index: int) -> dict[Head, list[CellRole]]:
    """The heads that reach a role's threshold at a checkpoint, as the grid of all heads shows them."""
    cells: dict[Head, list[CellRole]] = {}
    for role, table in history.checkpoints[index].role_scores.items():
        for layer, row in enumerate(table):
            for head, score in enumerate(row):
                if score >= ROLES[role].threshold:
                    cells.setdefault(Head(layer, head), []).append(CellRole(role, score, True))
    return cells


def million(tokens: int) -> str:
    """A number of tokens as a sentence has it: "4.59 million", or in full below a hundred thousand."""
    return f"{tokens:,}" if tokens < 100_000 else f"{tokens / 1e6:.2f} million"


def order_sentence(history: History) -> str:
    """When previous-token heads, induction heads and the accuracy were first there, in that order of time."""
    events: list[tuple[int, str]] = []
    missing: list[str] = []
    for role, name in _HEADS.items():
        if role not in history.best_scores:
            continue
        threshold = ROLES[role].threshold
        passing = history.role_passes(role)
        if passing is None:
            missing.append(f"no head passes {threshold} for {ROLES[role].display_name.lower()}")
        else:
            events.append((passing.tokens, f"{name} pass {threshold} {_when(passing)} ({passing.head})"))
    passing = history.accuracy_passes()
    if passing is None:
        missing.append(f"accuracy on repeated sequences stays below {HALF:.0%}")
    else:
        events.append((passing.tokens, f"accuracy on repeated sequences passes {HALF:.0%} {_when(passing)}"))
    message = [text for _, text in sorted(events, key=lambda event: event[0])] + missing
    sentence = message[0] if len(message) == 1 else f"{', '.join(message[:-1])}, and {message[-1]}"
    return sentence[0].upper() + sentence[1:] + "."


def _when(passing: Passing) -> str:
    if passing.since is None:
        return "from the first line of the log on"
    return f"by {million(passing.tokens)} tokens"


def jump_sentence(history: History) -> str:
    """Where accuracy rose most between two lines of the log; "" where it never rose, or could before."""
    jump = history.jump
    if jump is None or history.base is not None:
        return ""
    return (
        f"The largest rise in accuracy from one line of the log to the next is {jump.before:.0%} to "
        f"{jump.after:.0%}, between {million(jump.since)} and {million(jump.tokens)} tokens."
    )


def climb_sentence(history: History) -> str:
    """How long accuracy took from little to nearly all; "" where it did not go that far."""
    high = history.accuracy_passes(MOST)
    low = [point.tokens for point in history.checkpoints if point.repeated_accuracy <= LITTLE]
    before = max((tokens for tokens in low if high and tokens < high.tokens), default=None)
    if high is None or before is None or history.base is not None:
        return ""
    span = f"between {million(before)} and {million(high.tokens)} tokens"
    return f"From {LITTLE:.0%} to {MOST:.0%} it goes {span}."


def unaided_sentence(history: History) -> str:
    """Says that the heads formed without help, and what was done for them all the same; "" elsewhere."""
    if not history.unaided:
        return ""
    return (
        "No scaffold stood: the loss was on the tokens alone, and nothing ever told a head where to look. "
        "What it learned from was chosen, though: many of its rows repeat themselves, so that copying pays."
    )


def scaffold_sentences(history: History) -> str:
    """Where a scaffold stood, what it pointed at, and what that means for the order; "" without one."""
    if not history.scaffolds:
        return ""
    parts = [_stood(scaffold) for scaffold in history.scaffolds]
    for role, name in _HEADS.items():
        passing = history.role_passes(role) if role in history.best_scores else None
        if passing is None:
            continue
        pointed = any(role in scaffold.heads for scaffold in history.scaffolds)
        parts.append(_by_itself(name, passing, pointed))
    if history.jump is not None and history.jump.standing in ("while", "partly"):
        parts.append("The largest rise in accuracy falls into that time too.")
    left = [
        f"{ROLES[role].display_name.split(' (')[0].lower()} {history.best_scores[role][-1]:.2f}"
        for role in _HEADS
        if role in history.best_scores
    ]
    end = history.scaffolds[-1].end
    if history.tokens[-1] > end and left:
        parts.append(
            f"Nothing pointed at anything after {million(end)} tokens; the best scores at "
            f"{million(history.tokens[-1])} are {' and '.join(left)}."
        )
    return " ".join(parts)


def _stood(scaffold: Scaffold) -> str:
    pointed = [
        f"{_names(heads)} at {_TARGETS.get(role, f'what {ROLES[role].display_name.lower()} heads look at')}"
        for role, heads in scaffold.heads.items()
    ]
    what = f" pointed {', and '.join(pointed)}" if pointed else " pointed some heads at their targets"
    return (
        f"A scaffold stood from {million(scaffold.start)} to {million(scaffold.end)} tokens: an extra loss"
        f"{what}."
    )


def _names(heads: tuple[Head, ...]) -> str:
    names = [str(head) for head in heads]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _by_itself(name: str, passing: Passing, pointed: bool) -> str:
    name = name[0].upper() + name[1:]
    if passing.standing == "before":
        return f"{name} were there before it."
    if passing.standing == "after":
        return f"{name} came only after it was gone."
    stretch = "while it stood" if passing.standing == "while" else "in a stretch of the log in which it stood"
    if not pointed:
        return f"{name} came {stretch}, though it did not point at their targets."
    return f"{name} came {stretch}, so this does not show that they would have come by themselves."


def before_induction_sentence(history: History) -> str:
    """Tells of accuracy that was there before any head came near induction; "" where there was little."""
    if "induction" not in history.best_scores:
        return ""
    near = NEAR * ROLES["induction"].threshold
    earlier = list(takewhile(lambda point: point.best["induction"][1] < near, history.checkpoints))
    best = max(earlier, key=lambda point: point.repeated_accuracy, default=None)
    if best is None or best.repeated_accuracy < TELLING_ACCURACY:
        return ""
    scores = [point.best["induction"][1] for point in earlier if point.tokens <= best.tokens]
    return (
        f"Accuracy had reached {best.repeated_accuracy:.0%} at {million(best.tokens)} tokens, when no head "
        f"had scored above {max(scores):.2f} for induction: the model answered in some other way."
    )


def base_sentence(history: History) -> str:
    """Says what a model was before the first step, where it went on from another; "" where it did not."""
    if history.base is None:
        return ""
    return (
        f"{history.model} went on from {history.base}: at the first line of this log it is what "
        f"{history.base} was at its end, heads and all. How they formed is in the log of {history.base}; "
        "this one tells what further training changed."
    )


def untrained_sentence(history: History) -> str:
    """Says for which roles heads pass before any training, and why; "" where for none."""
    if history.tokens[0] > 0 or history.base is not None:
        return ""
    passing = {role: history.role_passes(role) for role in history.best_scores}
    names = [
        ROLES[role].display_name.split(" (")[0].lower()
        for role, found in passing.items()
        if found is not None and found.since is None
    ]
    if not names:
        return ""
    return (
        f"Before any training, heads already pass for {' and '.join(names)}: an untrained head looks "
        "everywhere about alike, which is chance and no skill."
    )


def story(history: History) -> str:
    """All of it: a short paragraph that is true to the log, for the page about how heads form."""
    parts = (
        base_sentence(history),
        order_sentence(history),
        jump_sentence(history),
        climb_sentence(history),
        before_induction_sentence(history),
        unaided_sentence(history),
        scaffold_sentences(history),
    )
    return " ".join(part for part in parts if part)
