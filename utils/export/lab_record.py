"""A lab record: what a student did, found and thought, to hand in; `record_formats` writes it out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from utils.effects.prediction import Comparison, plain_sentence
from utils.errors import UserFacingError
from utils.export.analysis_json import Chosen
from utils.heads import Head
from utils.live.analysis import LiveAnalysis
from utils.models.prompts import token_label
from utils.runtime.provenance import app_version, library_versions

TITLE = "HeadScope lab record"
# Room for a long essay; more in one box is a mistake or mischief.
MAX_CHARACTERS = 20_000
# So many candidates of the prediction stand in the record.
CANDIDATES = 5
MODES = {
    "zero": "replaced by zeros (zero ablation)",
    "mean": "replaced by their mean over test sentences (mean ablation)",
}
CAVEAT = (
    "A head that can be missed is not a head that is not used: another one may step in for it (backup heads)."
)


@dataclass(frozen=True)
class Effect:
    """One number with all heads on and with the chosen ones off.

    Attributes:
        what: what was measured.
        clean: with all heads on, as text.
        ablated: with the chosen heads ablated, as text; "" with nothing off.
    """

    what: str
    clean: str
    ablated: str = ""


@dataclass(frozen=True)
class Answer:
    """A question and what the student wrote."""

    question: str
    answer: str


@dataclass(frozen=True)
class LabRecord:
    """All that one record holds.

    Attributes:
        title: its heading.
        model: the model's name.
        prompt: the text, as typed.
        heads: the heads that were off.
        mode: what was put in their place, a key of `MODES`.
        findings: sentences about what was seen.
        effects: clean beside ablated.
        answers: to the questions of a preset or a lesson.
        notes: the student's own, as typed.
        link: address that opens the same page again.
        made_at: when.
        versions: of the app and its libraries.
        author: who hands it in, "" for nobody named.
    """

    title: str
    model: str
    prompt: str
    heads: tuple[Head, ...]
    mode: str
    findings: tuple[str, ...]
    effects: tuple[Effect, ...]
    answers: tuple[Answer, ...]
    notes: str
    link: str
    made_at: datetime
    versions: dict[str, str]
    author: str = ""


def make_record(
    analysis: LiveAnalysis,
    chosen: Chosen,
    comparison: Comparison,
    findings: Sequence[str] = (),
    answers: Sequence[Answer] = (),
    notes: str = "",
    title: str = TITLE,
    made_at: datetime | None = None,
    author: str = "",
) -> LabRecord:
    """Put a record together.

    Args:
        analysis: the prompt on the model.
        chosen: the heads that are off, how, and the link.
        comparison: the prediction, clean beside ablated.
        findings: further sentences, for instance on random sets or on a head.
        answers: to a preset's or a lesson's questions.
        notes: the student's own.
        title: the record's heading.
        made_at: default now.
        author: who hands it in; optional.

    Raises:
        UserFacingError: a text is longer than a record takes.
    """
    for what, text in (("Your notes have", notes), *(("An answer has", each.answer) for each in answers)):
        if len(text) > MAX_CHARACTERS:
            raise UserFacingError(
                f"{what} {len(text):,} characters and a lab record takes {MAX_CHARACTERS:,}.",
                "Shorten the text.",
            )

    def label(token: int) -> str:
        return token_label(analysis.loaded, token)

    off = bool(chosen.ablated)
    position = len(analysis.prompt.ids) - 1 if chosen.position is None else chosen.position
    after = "the text" if position == len(analysis.prompt.ids) - 1 else f"token {position}"
    heads = tuple(sorted(chosen.ablated))
    sentence = plain_sentence(
        comparison,
        heads,
        label(comparison.top.token).strip("·"),
        label(comparison.ablated_top.token).strip("·"),
    )
    rows = list(comparison.rows[:CANDIDATES])
    if comparison.watched not in rows:
        rows.append(comparison.watched)
    effects = [
        Effect(
            f"probability of “{label(row.token)}” after {after}",
            f"{row.clean:.1%}",
            f"{row.ablated:.1%}" if off else "",
        )
        for row in rows
    ]
    clean, ablated = comparison.logit_difference
    watched, rival = label(comparison.watched.token), label(comparison.rival)
    effects.append(
        Effect(
            f"logit difference, “{watched}” minus “{rival}”", f"{clean:.2f}", f"{ablated:.2f}" if off else ""
        )
    )
    if off:
        effects.append(
            Effect("change of the whole prediction (KL divergence, nats)", "0", f"{comparison.kl:.3f}")
        )
    return LabRecord(
        title=title,
        model=analysis.loaded.name,
        prompt=analysis.prompt.text,
        heads=heads,
        mode=str(chosen.mode),
        findings=(sentence, *findings, *([CAVEAT] if off else [])),
        effects=tuple(effects),
        answers=tuple(answers),
        notes=notes,
        link=chosen.link,
        made_at=made_at or datetime.now(UTC),
        versions={"headscope": app_version(), **library_versions()},
        author=author,
    )
