"""The registry of roles: one row holds all that the project says and draws about a role.

Cards, colours, menus, the catalog's texts, the glossary, the analyzer's probes and the scores all come from
here. Adding a role is one row here, with its target in `role_score.py` where it needs a new one, and one case
in the contract test. Thresholds and margins are docs/METHODS.md, section 1.
"""

import math
from dataclasses import dataclass
from typing import Literal

from utils.roles.role_score import MIN_POSITIONS as MIN_POSITIONS
from utils.roles.role_score import (
    MIN_WRITTEN,
    ExtraCheck,
    RoleScore,
    copied_answer,
    duplicate_token,
    earlier_tokens,
    every_key,
    first_token,
    induction,
    max_attention,
    previous_token,
    spread,
)

# The papers that the roles are from; the glossary names them too.
OLSSON = "Olsson et al. 2022, In-context Learning and Induction Heads"
WANG = "Wang et al. 2022, Interpretability in the Wild"
XIAO = "Xiao et al. 2023, Efficient Streaming Language Models with Attention Sinks"

MCDOUGALL = "McDougall et al. 2023, Copy Suppression"

# A head is active on an input when its live score is at least this share of max(catalog score, threshold) ...
MIN_LIVE_SHARE = 0.5
# ... and at least chance + max(this, 1.64 standard errors of a uniform head over the positions averaged).
MIN_MARGIN = 0.15
Z_ONE_SIDED = 1.64
# ... or this many standard errors where all heads are searched: of many heads some pass the first by chance.
Z_SEARCH = 3.1
# Attention is spread out from this normalised entropy on, where no key takes more than this share of a row on
# average.
SPREAD_THRESHOLD = 0.55
SPREAD_MAX_ATTENTION = 0.5
# At most so many heads a role, so many of one layer before the best of other layers are added.
MAX_HEADS = 8
MAX_PER_LAYER = 5
# A head of another layer is added for diversity when it reaches this score.
LOWER_THRESHOLD = 0.25


def margin(chance: float, rows: int, errors: float = Z_ONE_SIDED) -> float:
    """How far above chance a score must be: max(0.15, standard errors of a uniform head over the rows).

    Args:
        chance: score of uniform attention.
        rows: query positions that the score is a mean over.
        errors: how many standard errors.
    """
    return max(MIN_MARGIN, errors * math.sqrt(chance * (1 - chance) / rows))


Combine = Literal["largest", "smallest"]


@dataclass(frozen=True)
class HeadRole:
    """All that the project knows about one role.

    Attributes:
        key: the role's key in the catalog.
        display_name: what the page calls it, with the field's term in parentheses where they differ.
        description: one line for a card.
        explanation: two or three sentences at student level.
        score: how heads are scored for it, with its chance level and its extra check; None for no score.
        scoring: the same in words, for the glossary.
        source: the paper that the role is from, "" for none.
        telling_rank: its place among the roles by how much it tells about a head, from 0: the more telling
            role of an active head is shown first.
        letter: stands for the role where there is no room, so that nothing is shown by colour alone.
        icon: name of a Bootstrap icon.
        color: hue in light mode.
        color_dark: hue in dark mode.
        requires_repetition: whether the role can only be seen on a text that repeats something.
        probes: names of the probe input sets that its catalog score is measured on.
        combine: which of the means on several probe sets is the score: a head that does something on one of
            them does it (largest), one that does it only for want of anything else does not (smallest).
        threshold: score from which a head is listed.
        lower_threshold: score from which a head of another layer is added for diversity.
        names: what people write for it in presets besides its key.
        example_prompts: candidates for the suggested prompts; the analyzer keeps those that activate it.
    """

    key: str
    display_name: str
    description: str
    explanation: str
    score: RoleScore | None
    scoring: str
    source: str
    telling_rank: int
    letter: str
    icon: str
    color: str
    color_dark: str
    requires_repetition: bool
    probes: tuple[str, ...]
    threshold: float
    lower_threshold: float
    example_prompts: tuple[str, ...]
    names: tuple[str, ...] = ()
    combine: Combine = "largest"

    @property
    def measured(self) -> bool:
        """Whether the role has a score of its own; 'other' has none."""
        return self.score is not None

    @property
    def by_output(self) -> bool:
        """Whether the role is about what a head writes, so that a pattern alone cannot show it."""
        return self.score is not None and self.score.written != 0


_ROWS = (
    HeadRole(
        key="previous_token",
        display_name="Previous token",
        description="Looks one token back, whatever the text says.",
        explanation=(
            "From every token this head looks at the one just before it. It tells each token what came "
            "before, which is what an induction head further up needs to continue a pattern."
        ),
        score=RoleScore(previous_token),
        scoring="Score: attention on the token one back, mean over all tokens from the third on.",
        source=WANG,
        telling_rank=2,
        letter="P",
        icon="arrow-left-square",
        color="#1f6fb2",
        color_dark="#6db3f2",
        requires_repetition=False,
        probes=("natural",),
        threshold=0.4,
        lower_threshold=LOWER_THRESHOLD,
        example_prompts=(
            "The little dog ran down the road to find his friend.",
            "Once upon a time there was a poor woodcutter who lived in the forest.",
            "She opened the door and looked out into the dark garden.",
            "It was a cold day, and the snow lay deep upon the hills.",
        ),
    ),
    HeadRole(
        key="induction",
        display_name="Induction (pattern completion)",
        description="Finds the last time this token appeared and looks at what followed it.",
        explanation=(
            "When a token comes a second time, this head looks at the token that followed it the first time, "
            "and so helps the model to continue the pattern: after 'A B ... A' it expects 'B' (in-context "
            "copying)."
        ),
        score=RoleScore(induction),
        scoring=(
            "Score: attention on what followed earlier copies of the token, mean over the tokens that have "
            "one far enough back."
        ),
        source=OLSSON,
        telling_rank=0,
        letter="I",
        icon="repeat",
        color="#b3440f",
        color_dark="#f4a261",
        requires_repetition=True,
        probes=("repeated",),
        threshold=0.4,
        lower_threshold=LOWER_THRESHOLD,
        example_prompts=(
            "The cat sat on the mat. The cat sat on the",
            "My friend Tom Green lives in the old mill. Yesterday my friend Tom Green",
            "one apple two pears three plums four figs, one apple two pears three plums four",
            "The king gave the boy a golden ring, and the boy took the golden",
            "red stone blue river tall tower green field red stone blue river tall tower green",
        ),
    ),
    HeadRole(
        key="duplicate_token",
        display_name="Duplicate token",
        description="Looks at earlier copies of the very same token.",
        explanation=(
            "When a token has appeared before, this head looks back at its earlier copy. It notices that "
            "something is repeated (which the model can use to know who has been named already) without "
            "saying what comes next."
        ),
        score=RoleScore(duplicate_token),
        scoring="Score: attention on earlier copies of the token, mean over the tokens that have one.",
        source=WANG,
        telling_rank=1,
        letter="D",
        icon="copy",
        color="#7a3e9d",
        color_dark="#c79bea",
        requires_repetition=True,
        probes=("repeated", "word_lists"),
        # On the word lists even attention scores 0.3, since every comma has many before it.
        threshold=0.55,
        lower_threshold=0.55,
        example_prompts=(
            "red, blue, green, red, yellow, blue, red, white, green, blue",
            "dog, cat, horse, dog, bird, cat, cow, dog, horse, bird",
            "apple, bread, milk, apple, cheese, bread, apple, milk, bread",
            "The cat sat on the mat. The cat sat on the",
            "one, two, three, one, four, two, one, three, five, two",
        ),
    ),
    HeadRole(
        key="copying",
        display_name="Copying",
        description="Finds the answer in the text and makes it more likely to come next.",
        explanation=(
            "From the last token this head looks at an earlier one that is the answer, and what it writes "
            "raises that very token: it copies it to the output. With names it is called a name mover."
        ),
        score=RoleScore(copied_answer, chance=None, written=1, enough_rows=1),
        scoring=(
            "Score: attention of the last token on earlier ones that are the answer, where the head raises "
            f"the answer's logit by at least {MIN_WRITTEN:g}; mean over prompts that the model gets right."
        ),
        source=WANG,
        telling_rank=3,
        letter="C",
        icon="clipboard-check",
        color="#a61e4d",
        color_dark="#faa2c1",
        requires_repetition=False,
        probes=("names", "completions"),
        threshold=0.2,
        lower_threshold=0.2,
        example_prompts=(
            "When Mary and John went to the store, John gave a drink to",
            "The password is lemon purple seven. Please type the password: lemon purple",
            "Then, Sarah and Peter had a long argument. Afterwards Peter said to",
            "apple table river window garden mother horse apple table river window garden mother",
            "The king gave the boy a golden ring, and the boy took the golden",
            "One day a girl named Lily went to the park. One day a girl named",
        ),
    ),
    HeadRole(
        key="copy_suppression",
        display_name="Copy suppression",
        description="Looks at an earlier token and makes it less likely to come next.",
        explanation=(
            "This head looks at a token that was there before, and what it writes lowers that very token: it "
            "keeps the model from saying the same thing again. Where two names could come next, that speaks "
            "for the other one."
        ),
        score=RoleScore(earlier_tokens, chance=None, written=-1),
        scoring=(
            "Score: attention on earlier tokens (not the first) whose own logit the head lowers by at least "
            f"{MIN_WRITTEN:g}, and more than it does anyway; mean over all tokens from the fourth on."
        ),
        source=MCDOUGALL,
        telling_rank=4,
        letter="X",
        icon="slash-circle",
        color="#7a5c00",
        color_dark="#ffd43b",
        requires_repetition=False,
        probes=("names", "completions", "repeated_words"),
        threshold=0.1,
        lower_threshold=0.1,
        example_prompts=(
            "When Mary and John went to the store, John gave a drink to",
            "Then, Sarah and Peter had a long argument. Afterwards Peter said to",
            "All is fair in love and war, and in war",
            "The king gave the boy a golden ring, and the boy took the golden",
            "red, blue, green, red, yellow, blue, red, white, green, blue",
        ),
    ),
    HeadRole(
        key="positional",
        display_name="First token (positional)",
        description="Looks at the very first token, whatever it is.",
        explanation=(
            "From every token this head looks at the first one, whether or not anything repeats. The first "
            "token is an attention sink: most heads rest there when they have nothing to do, which is no "
            "role; a head has this one only if it stays there when there is something to find."
        ),
        score=RoleScore(first_token),
        scoring=(
            "Score: attention on the first token (an attention sink), mean over all tokens from the third "
            "on; in the catalog the smaller of the means on plain sentences and on repeated ones."
        ),
        source=XIAO,
        telling_rank=6,
        names=("first token",),
        letter="F",
        icon="skip-start",
        color="#3d6b1f",
        color_dark="#9bd16f",
        requires_repetition=False,
        probes=("natural", "repeated"),
        # Who leaves the first token as soon as there is something to find only rests there.
        combine="smallest",
        threshold=0.4,
        lower_threshold=LOWER_THRESHOLD,
        example_prompts=(
            "The little dog ran down the road to find his friend.",
            "The children went to the river, and there they saw a boat with a white sail.",
            "It was a cold day, and the snow lay deep upon the hills.",
            "She opened the door and looked out into the dark garden.",
        ),
    ),
    HeadRole(
        key="diffuse",
        display_name="Diffuse (spread out)",
        description="Spreads its attention over many tokens at once.",
        explanation=(
            "This head gives no single token much weight: it averages over the text so far (high entropy), "
            "which gathers the general topic rather than one word."
        ),
        score=RoleScore(
            every_key,
            measure=spread,
            chance=None,
            check=ExtraCheck(
                max_attention,
                SPREAD_MAX_ATTENTION,
                f"no token takes more than {SPREAD_MAX_ATTENTION:.0%} of a row on average",
                lambda value: f"one token takes {value:.0%} of its attention, so it is not spread out",
            ),
        ),
        scoring=(
            "Score: how even the attention is, entropy by the largest that is possible there, mean over all "
            "tokens from the third on."
        ),
        source="",
        telling_rank=5,
        letter="S",
        icon="broadcast",
        color="#0b7285",
        color_dark="#66d9e8",
        requires_repetition=False,
        probes=("natural",),
        threshold=SPREAD_THRESHOLD,
        lower_threshold=SPREAD_THRESHOLD,
        example_prompts=(
            "The children went to the river, and there they saw a boat with a white sail.",
            "Once upon a time there was a poor woodcutter who lived in the forest.",
            "It was a cold day, and the snow lay deep upon the hills.",
            "The little dog ran down the road to find his friend.",
        ),
    ),
    HeadRole(
        key="other",
        display_name="Other (no catalogued role)",
        description="None of these roles fits this head on the test inputs.",
        explanation=(
            "Every score of these heads lies below its role's threshold. That does not mean that they do "
            "nothing: they may do something that this catalog does not look for."
        ),
        score=None,
        scoring="No score of its own: every score lies below its role's threshold.",
        source="",
        telling_rank=7,
        names=("unclassified",),
        letter="·",
        icon="question-circle",
        color="#5c636a",
        color_dark="#adb5bd",
        requires_repetition=False,
        probes=(),
        threshold=0.0,
        lower_threshold=0.0,
        example_prompts=(),
    ),
)

ROLES: dict[str, HeadRole] = {row.key: row for row in _ROWS}


def measured_roles() -> tuple[str, ...]:
    """The keys of the roles that have a score, in the registry's order."""
    return tuple(key for key, role in ROLES.items() if role.measured)


def pattern_roles() -> tuple[str, ...]:
    """Those of `measured_roles` that a pattern alone can show."""
    return tuple(key for key in measured_roles() if not ROLES[key].by_output)


def output_roles() -> tuple[str, ...]:
    """Those of `measured_roles` that are about what a head writes."""
    return tuple(key for key in measured_roles() if ROLES[key].by_output)
