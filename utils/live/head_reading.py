"""What a head does on one text, described from its pattern alone: any head, catalogued or not."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from utils.heads import Head
from utils.live.analysis import LiveAnalysis
from utils.live.attended_positions import PLACES, View, standing_out
from utils.models.prompts import TokenizedPrompt
from utils.roles import registry
from utils.roles.role_score import FIRST_ROW, MIN_TOKENS, RoleTarget, max_attention

# "mostly" from this share of all attention; "the rest is spread" up to it.
MOSTLY = 0.5
# Where fewer rows than this share of all have such a place, the sentence says how many have.
NEARLY_ALL = 0.8


@dataclass(frozen=True)
class PlaceShare:
    """How much of a head's attention one kind of place gets.

    Attributes:
        key: of the `pattern_places.Place`.
        name: its name in a table.
        share: mean attention over the rows that have such a place in sight, rows 0 and 1 left out.
        chance: the same for uniform attention over what the layer sees.
        rows: how many rows that are.
        of_all: what it is of all the head's attention (rows without such a place count 0).
        stands_out: whether the sentence tells it.
    """

    key: str
    name: str
    share: float
    chance: float
    rows: int
    of_all: float
    stands_out: bool


@dataclass(frozen=True)
class Reading:
    """What a head does on one text.

    Attributes:
        shares: each kind of place that the text has, in the order of `PLACES`. They overlap: the token one
            back may be a comma.
        stands_out: keys of what stands out, the most important first.
        spread: entropy of a row by what it can see, 1 for uniform, mean over rows.
        peak: share of a row that its largest weight takes, mean over rows.
        window: how many tokens the layer sees, None for all.
        sentence: all of it in plain words.
    """

    shares: tuple[PlaceShare, ...]
    stands_out: tuple[str, ...]
    spread: float
    peak: float
    window: int | None
    sentence: str


def read_pattern(
    pattern: Tensor,
    prompt: TokenizedPrompt,
    name: str = "this head",
    window: int | None = None,
    target: Callable[[str], RoleTarget] | None = None,
) -> Reading:
    """Describe one head's pattern.

    Args:
        pattern: probabilities [query, key]; not modified.
        prompt: the tokens.
        name: what the sentence calls the head.
        window: how many keys the layer sees, None for all.
        target: gives a role's target on the prompt where it is known already.

    Raises:
        ValueError: the pattern does not fit the tokens.
    """
    n = len(prompt.ids)
    if tuple(pattern.shape) != (n, n):
        raise ValueError(f"pattern must have shape (query, key)=({n}, {n}). Got {tuple(pattern.shape)}.")
    if n < MIN_TOKENS:
        sentence = f"The text is too short to say what {name} does: at least {MIN_TOKENS} tokens are needed."
        return Reading((), (), 0.0, 0.0, window, sentence)
    view = View(pattern, window)
    masks = view.masks(prompt, target)
    message = standing_out(view, masks)
    shares = {}
    for key, mask in masks.items():
        got = view.measure(mask)
        shares[key] = PlaceShare(
            key, PLACES[key].name, got.share, got.chance, got.rows, got.of_all, stands_out=key in message
        )
    spread, peak = view.spread(), float(max_attention(view.pattern))
    is_spread = spread >= registry.SPREAD_THRESHOLD and peak <= registry.SPREAD_MAX_ATTENTION
    if message:
        sentence = _what_stands_out(name, message, shares, is_spread, n - FIRST_ROW)
    else:
        sentence = _nothing_stands_out(name, view, prompt, is_spread, spread, peak)
    if window is not None and window < n:
        sentence += f" (This layer sees the last {window} tokens alone.)"
    return Reading(tuple(shares.values()), message, spread, peak, window, sentence)


def read_head(analysis: LiveAnalysis, head: Head) -> Reading:
    """Describe what a head does on the text of a live analysis, all heads on."""
    return read_pattern(
        analysis.attention[head.layer, head.head],
        analysis.prompt,
        str(head),
        analysis.loaded.geometry.windows[head.layer],
        analysis.scores.target,
    )


def _nothing_stands_out(
    name: str, view: View, prompt: TokenizedPrompt, is_spread: bool, spread: float, peak: float
) -> str:
    if is_spread:
        return (
            f"On this text {name} spreads its attention over many tokens (spread {spread:.2f} of 1); no kind "
            "of place stands out."
        )
    position, share = view.favourite()
    if peak > registry.SPREAD_MAX_ATTENTION and share > 0:
        return (
            f"On this text {name} picks out single tokens, but no kind of place stands out; besides the "
            f"first token, “{prompt.labels[position]}” (token {position}) is looked at most ({share:.0%})."
        )
    return f"Nothing stands out in what {name} looks at on this text."


def _what_stands_out(
    name: str, stands_out: Sequence[str], shares: Mapping[str, PlaceShare], is_spread: bool, rows: int
) -> str:
    backs = [key for key in stands_out if key.startswith("back_")]
    phrases: list[str] = []
    for key in stands_out:
        if len(backs) > 1 and key in backs:
            if key == backs[0]:  # all of them where the first stands
                phrases.append(_back_phrase([shares[back] for back in sorted(backs)]))
            continue
        few = PLACES[key].of_text and shares[key].rows < NEARLY_ALL * rows
        evidence = f" from the {_places(shares[key].rows)} one" if few else ""
        phrases.append(f"{PLACES[key].phrase} ({shares[key].share:.0%}{evidence})")
    joined = phrases[0] if len(phrases) == 1 else f"{', '.join(phrases[:-1])} and {phrases[-1]}"
    mostly = "mostly " if shares[stands_out[0]].of_all >= MOSTLY else ""
    rest = ""
    if is_spread and sum(shares[key].of_all for key in stands_out) < MOSTLY:
        rest = ", and spreads the rest over many tokens"
    return f"On this text {name} {mostly}looks {joined}{rest}."


def _places(count: int) -> str:
    return f"{count} places that have" if count > 1 else "1 place that has"


def _back_phrase(backs: Sequence[PlaceShare]) -> str:
    numbers = [back.key.removeprefix("back_") for back in backs]
    each = [f"{back.share:.0%}" for back in backs]
    return f"{', '.join(numbers[:-1])} and {numbers[-1]} tokens back ({', '.join(each[:-1])} and {each[-1]})"
