"""Kinds of places that a head may look at, and how much of its attention each gets.

Every kind is a boolean matrix over (query, key), like the targets of `role_scores`, so that one definition
gives the share and its chance level. Rows 0 and 1 are left out as in the roles; a layer with a window is
measured against what it sees.
"""

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from utils.models.prompts import TokenizedPrompt
from utils.roles import registry
from utils.roles.registry import Z_SEARCH
from utils.roles.role_score import FIRST_ROW, RoleTarget
from utils.roles.scores import role_target

# So many tokens back are looked at one by one, and together as "nearby".
MAX_BACK = 5
# A place that gets less does not stand out, however far above chance.
MIN_SHARE = 0.2
# At most so many places stand out.
MAX_NAMED = 5


@dataclass(frozen=True)
class Place:
    """A kind of place that a head may look at.

    Attributes:
        key: its name in code.
        name: its name in a table.
        phrase: how a sentence goes on after "looks".
        mask: the tokens -> bool [query, key], before the causal mask and the window are applied; or the key
            of the role whose target it is.
        of_text: whether it depends on the text which rows have such a place.
    """

    key: str
    name: str
    phrase: str
    mask: Callable[[TokenizedPrompt], Tensor] | str
    of_text: bool = False


def _nowhere(prompt: TokenizedPrompt) -> Tensor:
    return torch.zeros(len(prompt.ids), len(prompt.ids), dtype=torch.bool)


def _first(prompt: TokenizedPrompt) -> Tensor:
    mask = _nowhere(prompt)
    mask[:, 0] = True
    return mask


def _back(*positions: int) -> Callable[[TokenizedPrompt], Tensor]:
    def mask(prompt: TokenizedPrompt) -> Tensor:
        position = torch.arange(len(prompt.ids))
        near = torch.isin(position[:, None] - position[None, :], torch.tensor(positions))
        near[:, 0] = False  # the first token is a place of its own
        return near

    return mask


def is_punctuation(label: str) -> bool:
    """Whether a token, as `prompts.token_label` shows it, is punctuation and nothing else."""
    # "·" stands for a space here, though it is a punctuation mark itself.
    text = label.replace("·", "").replace("⏎", "")
    return bool(text) and all(unicodedata.category(character).startswith("P") for character in text)


def _punctuation(prompt: TokenizedPrompt) -> Tensor:
    mask = _nowhere(prompt)
    for key, (label, special) in enumerate(zip(prompt.labels, prompt.special, strict=True)):
        mask[:, key] = key > 0 and not special and is_punctuation(label)
    return mask.tril(-1)


_NEAR = range(1, MAX_BACK + 1)
PLACES: dict[str, Place] = {
    place.key: place
    for place in (
        Place("first", "the first token", "at the first token", _first),
        Place("itself", "itself", "at itself", _back(0)),
        *(
            Place(
                f"back_{k}",
                "the token before" if k == 1 else f"{k} tokens back",
                "one token back" if k == 1 else f"{k} tokens back",
                _back(k),
            )
            for k in _NEAR
        ),
        Place(
            "same",
            "the same token, earlier",
            "at earlier copies of its own token",
            "duplicate_token",
            of_text=True,
        ),
        Place(
            "after_same",
            "what followed the same token earlier",
            "at what followed an earlier copy of its token",
            "induction",
            of_text=True,
        ),
        Place("punctuation", "punctuation before it", "at punctuation", _punctuation, of_text=True),
        # Says less than any one of its places, so it is asked last and only when none of them stands out.
        Place(
            "nearby",
            f"1 to {MAX_BACK} tokens back, together",
            f"at the {MAX_BACK} tokens before",
            _back(*_NEAR),
        ),
    )
}


@dataclass(frozen=True)
class Measure:
    """How much of a head's attention some places get.

    Attributes:
        share: mean attention mass over the rows that have such a place in sight.
        chance: the same for uniform attention over what the layer sees.
        rows: how many rows that are.
        of_all: the mass as a share of all attention (of all rows from row 2 on).
    """

    share: float
    chance: float
    rows: int
    of_all: float

    @property
    def gain(self) -> float:
        """Attention mass above chance, 0 where that is not clear (`head_roles.margin` for searching)."""
        bar = self.chance + registry.margin(min(self.chance, 1.0), self.rows, Z_SEARCH)
        return (self.share - self.chance) * self.rows if self.share >= max(MIN_SHARE, bar) else 0.0


class View:
    """One head's pattern with what its layer can see.

    Args:
        pattern: probabilities [query, key].
        window: how many keys the layer sees, None for all.
    """

    def __init__(self, pattern: Tensor, window: int | None = None) -> None:
        self.pattern = pattern.double()
        query = torch.arange(len(pattern))
        self.seen = query + 1 if window is None else (query + 1).clamp(max=window)
        back = query[:, None] - query[None, :]
        self.visible = (back >= 0) & (back < self.seen[:, None])
        self.visible[:FIRST_ROW] = False

    def masks(
        self, prompt: TokenizedPrompt, target: Callable[[str], RoleTarget] | None = None
    ) -> dict[str, Tensor]:
        """The places of each kind that are in sight, [query, key]; kinds that the text lacks are left out.

        Args:
            prompt: the tokens.
            target: gives a role's target on them where it is known already.
        """
        special = [token for token, is_special in zip(prompt.ids, prompt.special, strict=True) if is_special]
        target = target or partial(role_target, tokens=prompt.ids, special_ids=special)
        masks = {
            key: (target(index.mask).mask if isinstance(index.mask, str) else index.mask(prompt))
            & self.visible
            for key, index in PLACES.items()
        }
        return {key: mask for key, mask in masks.items() if bool(mask.any())}

    def measure(self, mask: Tensor) -> Measure:
        """The attention on the places of `mask`, of which there must be some in sight."""
        rows = int(mask.any(-1).sum())
        mass = float((self.pattern * mask).sum())
        chance = float((mask.sum(-1) / self.seen).sum())
        every = len(self.pattern) - FIRST_ROW
        return Measure(min(1.0, mass / rows), chance / rows, rows, min(1.0, mass / every))

    def spread(self) -> float:
        """Entropy of a row by that of uniform attention over what it sees, mean over rows."""
        entropy = torch.special.entr(self.pattern[FIRST_ROW:]).sum(-1)
        largest = torch.log(self.seen[FIRST_ROW:].double())
        # In a window of one token there is nothing to spread over.
        shares = torch.where(largest > 0, entropy / largest.clamp(min=1e-9), torch.zeros_like(entropy))
        return min(1.0, float(shares.mean()))

    def favourite(self) -> tuple[int, float]:
        """The token besides the first that gets most: position, and mean share in rows that see it."""
        shares = (self.pattern * self.visible).sum(0) / self.visible.sum(0).clamp(min=1)
        # A token that few rows see would win by the one that looks at it.
        shares[self.visible.sum(0) < registry.MIN_POSITIONS] = 0
        shares[0] = 0
        best = int(shares.argmax())
        return best, float(shares[best])


def standing_out(view: View, masks: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Keys of the kinds of places that stand out, the most important first.

    Each must stand out on what the ones before it leave: where every second token is a comma, a head that
    looks one token back sees many commas without looking for any.

    Args:
        view: the pattern.
        masks: `View.masks`.
    """
    message: list[str] = []
    explained = torch.zeros_like(view.visible)

    def gain(key: str) -> float:
        left = masks[key] & ~explained
        return view.measure(left).gain if bool(left.any()) else 0.0

    while len(message) < MAX_NAMED:
        gains = {key: gain(key) for key in masks if key not in message and key != "nearby"}
        best = max(gains, key=lambda key: gains[key], default="")
        if not best or gains[best] <= 0:
            break
        message.append(best)
        explained |= masks[best]
    if "nearby" in masks and not any(key.startswith("back_") for key in message) and gain("nearby") > 0:
        message.append("nearby")
    return tuple(message)
