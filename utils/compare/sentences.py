"""What differs between two analyses side by side, in plain sentences."""

from utils.compare.side_by_side import HeadPair, HeadScore, RoleComparison, RoleSide, SideBySide
from utils.roles.registry import MIN_POSITIONS, ROLES
from utils.wording import listed

SIDES = ("left", "right")
# A head's score that differs by less is called alike.
SMALL_DIFFERENCE = 0.1


def short_name(role: str) -> str:
    """A role's name without the field's term in parentheses."""
    return ROLES[role].display_name.split(" (")[0]


def summary_sentence(comparison: SideBySide) -> str:
    """Which roles are active on one side alone, those with little evidence apart."""
    if comparison.same_model and comparison.same_prompt:
        return "Both sides are the same model and the same text, so nothing differs."
    parts, weak = [], []
    for position, where in enumerate(SIDES):
        names = []
        for role in comparison.roles:
            side = (role.left, role.right)[position]
            if not role.changed or side.state != "active":
                continue
            if side.positions >= MIN_POSITIONS:
                names.append(short_name(role.role).lower())
            else:
                weak.append(f"{short_name(role.role).lower()} on the {where}{_evidence(side)}")
        if names:
            parts.append(f"{listed(names)} on the {where}")
    # A place or two may look like a role by chance: that is no headline.
    aside = f" Too little to tell: {'; '.join(weak)}." if weak else ""
    if parts:
        return f"Active on one side alone: {'; '.join(parts)}.{aside}"
    active = any(role.left.state == role.right.state == "active" for role in comparison.roles)
    return f"{'The same roles are active on both sides' if active else 'No role differs clearly'}.{aside}"


def prediction_sentence(comparison: SideBySide) -> str:
    """The most likely next token on each side."""
    one, two = (candidates[0] for candidates in comparison.predictions)
    if comparison.same_model and one.token == two.token:
        return (
            f"On both sides the model expects “{one.label}”: {one.probability:.0%} on the left, "
            f"{two.probability:.0%} on the right."
        )
    names = ("the model", "it") if comparison.same_model else comparison.models
    return (
        f"On the left {names[0]} expects “{one.label}” ({one.probability:.0%}), on the right {names[1]} "
        f"expects “{two.label}” ({two.probability:.0%})."
    )


def role_sentence(comparison: RoleComparison, same_model: bool) -> str:
    """What one role does on the two sides.

    Args:
        comparison: the role.
        same_model: whether both sides are one model, whose heads can be compared by name.
    """
    name, left, right = short_name(comparison.role), comparison.left, comparison.right
    if left.state == right.state == "active":
        both = _same_heads(left, right, comparison.pairs) if same_model else _other_heads(left, right)
        return f"{name} is active on both sides: {both}."
    unknown = "unknown" in (left.state, right.state)
    if left.state != "active" and right.state != "active":
        verb = "is not known to be active on either side" if unknown else "is inactive on both sides"
        if left.reason == right.reason:
            return f"{name} {verb}: {left.reason}."
        return f"{name} {verb}. Left: {left.reason}. Right: {right.reason}."
    active, inactive = (left, right) if left.state == "active" else (right, left)
    where, other = SIDES if left.state == "active" else SIDES[::-1]
    verb = "is active" if unknown else "becomes active"
    return f"{name} {verb} on the {where}: {_led(active)}. On the {other}: {inactive.reason}."


def _score(head: HeadScore) -> str:
    return f"{head.head} ({head.live or 0:.2f})"


def _evidence(side: RoleSide) -> str:
    if side.positions >= MIN_POSITIONS:
        return ""
    return f" (little evidence: {side.positions} place{'s' if side.positions > 1 else ''})"


def _led(side: RoleSide) -> str:
    if len(side.heads) == 1:
        return f"its one head, {_score(side.active[0])}{_evidence(side)}"
    best = _score(side.active[0])
    return f"{len(side.active)} of {len(side.heads)} heads, most of all {best}{_evidence(side)}"


def _same_heads(left: RoleSide, right: RoleSide, pairs: tuple[HeadPair, ...]) -> str:
    counts = ", ".join(
        f"{len(side.active)} of {len(side.heads)} heads on the {where}{_evidence(side)}"
        for side, where in zip((left, right), SIDES, strict=True)
    )
    best: HeadPair | None = None
    for pair in pairs:
        if abs(pair.difference or 0) >= max(SMALL_DIFFERENCE, abs(best.difference or 0) if best else 0):
            best = pair
    if best is None or best.left is None or best.right is None:
        return f"{counts}, with scores alike"
    return (
        f"{counts}; {best.left.head} changes most, from {best.left.live or 0:.2f} to "
        f"{best.right.live or 0:.2f}"
    )


def _other_heads(left: RoleSide, right: RoleSide) -> str:
    message = [
        f"on the {where} {_led(side)}, {_depth(side.active[0].depth)}"
        for side, where in zip((left, right), SIDES, strict=True)
    ]
    return "; ".join(message)


def _depth(depth: float) -> str:
    if depth == 0:
        return "in the first layer"
    return "in the last layer" if depth == 1 else f"{depth:.0%} of the way up the layers"
