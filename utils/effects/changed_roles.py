"""What becomes of the other heads without some: each head's role scores, clean and ablated.

docs/METHODS.md, section 4. Heads of later layers read what the ablated ones no longer write. As a control the
same is done with random sets of as many heads of the same layers (`random_sets`).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from utils.effects.random_sets import DRAWS, RandomSets, draw_sets
from utils.forward.ablation import AblationMethod
from utils.forward.attention_capture import capture
from utils.heads import Head
from utils.models.loading import LoadedModel
from utils.roles.activity import PromptScores, prompt_scores
from utils.roles.registry import ROLES
from utils.runtime.jobs import Progress
from utils.writing.live_outputs import written_on

WHAT = "reading the text without random heads"
# So many heads are listed.
MAX_LISTED = 20
# A smaller change of a score is none.
MIN_CHANGE = 0.05
# A change is beyond chance where fewer random sets than this share change the head as much.
MAX_AS_STRONG = 0.05


@dataclass(frozen=True)
class ChangedRole:
    """One role of one head, clean and without the ablated heads.

    Attributes:
        head: which head.
        role: the role's key.
        clean: its live score with all heads on.
        ablated: its live score without them.
        random: its live score without each random set; empty where none were drawn.
    """

    head: Head
    role: str
    clean: float
    ablated: float
    random: tuple[float, ...] = ()

    @property
    def change(self) -> float:
        """Ablated minus clean."""
        return self.ablated - self.clean

    @property
    def share_as_strong(self) -> float | None:
        """The share of random sets that change it this way at least as far; None without random sets."""
        if not self.random:
            return None
        sign = 1 if self.change > 0 else -1
        as_strong = [sign * (score - self.clean) >= abs(self.change) for score in self.random]
        return sum(as_strong) / len(as_strong)

    @property
    def beyond_chance(self) -> bool | None:
        """Whether it changes by more than the 95th percentile of random sets; None without them."""
        share = self.share_as_strong
        return None if share is None else share < MAX_AS_STRONG

    def sentence(self, without: str) -> str:
        """For example: L18H6 induction 0.94 to 0.11 without L16H0; without random heads 0.90 to 0.95.

        Args:
            without: the ablated heads in words.
        """
        name = ROLES[self.role].display_name.split(" (")[0].lower()
        text = f"{self.head} {name} {self.clean:.2f} to {self.ablated:.2f} without {without}"
        if self.random:
            text += (
                f"; without as many random heads of the same layers {min(self.random):.2f} to "
                f"{max(self.random):.2f}"
            )
        return text + "."


@dataclass(frozen=True, eq=False)
class RandomScores:
    """The live scores without random sets of heads.

    Attributes:
        sets: the random sets.
        seed: of the draws.
        live: {role: [draw, layer, head]}.
    """

    sets: RandomSets
    seed: int
    live: dict[str, Tensor]


def changed_roles(
    clean: PromptScores,
    ablated: PromptScores,
    off: Collection[Head],
    random: RandomScores | None = None,
    most: int = MAX_LISTED,
) -> tuple[ChangedRole, ...]:
    """The heads that changed most without others, the most first.

    A head counts for a role whose threshold its score reaches, clean or ablated: what is below is no role.
    The ablated heads and those of layers below them, on which nothing can have an effect, are left out.

    Args:
        clean: the scores with all heads on.
        ablated: the scores with `off` ablated.
        off: the ablated heads.
        random: the scores without random sets, None where they are not known (yet).
        most: how many are listed.
    """
    if not off:
        return ()
    lowest = min(head.layer for head in off)
    found: list[ChangedRole] = []
    for role, before in clean.live.items():
        after = ablated.live[role]
        reaches = torch.maximum(before, after) >= ROLES[role].threshold
        moved = reaches & ((after - before).abs() >= MIN_CHANGE)
        moved[: lowest + 1] = False
        for layer, number in moved.nonzero().tolist():
            head = Head(layer, number)
            if head in off:
                continue
            draws = () if random is None else tuple(random.live[role][:, layer, number].tolist())
            found.append(
                ChangedRole(head, role, float(before[layer, number]), float(after[layer, number]), draws)
            )
    found.sort(key=lambda one: (-abs(one.change), one.head, one.role))
    return tuple(found[:most])


def random_scores(
    loaded: LoadedModel,
    ids: Sequence[int],
    heads: Collection[Head],
    roles: Sequence[str],
    mode: AblationMethod = "zero",
    draws: int = DRAWS,
    seed: int = 0,
    progress: Progress = lambda what, done, total: None,
) -> RandomScores:
    """Every head's live scores without random sets of as many heads of the same layers as `heads`.

    Args:
        loaded: the model; its lock is held for one forward at a time.
        ids: tokens of the prompt, BOS included where the model has one.
        heads: the ablated heads, which no random set holds.
        roles: measured roles.
        mode: what is put in the heads' place.
        draws: how many random sets.
        seed: the same seed gives the same sets.
        progress: called after each set; an exception from it ends the work.

    Raises:
        UserFacingError: as `random_sets.draw_sets`.
    """
    drawn = draw_sets(loaded.geometry, heads, "layer-matched", draws, seed)
    distinct = list(dict.fromkeys(drawn.sets))
    is_sum = not loaded.family.stream.not_a_sum(loaded.model.config)
    by_output = is_sum and any(ROLES[role].by_output for role in roles)
    live: dict[tuple[Head, ...], dict[str, Tensor]] = {}
    for done, one in enumerate(distinct, start=1):
        captured = capture(loaded, ids, one, mode, stream=by_output)
        scores = prompt_scores(
            captured.attention,
            ids,
            roles,
            loaded.special_ids,
            loaded.geometry.windows,
            written_on(loaded, ids, captured),
        )
        live[one] = dict(scores.live)
        progress(WHAT, done, len(distinct))
    return RandomScores(
        drawn, seed, {role: torch.stack([live[one][role] for one in drawn.sets]) for role in roles}
    )
