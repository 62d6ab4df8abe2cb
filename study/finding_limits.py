"""What the study's models cannot show, and why: the last section of FINDINGS.md."""

from study.figure_style import Tables, picked, short_method, task_name
from study.finding_reasons import REASONS, singles, why_not
from study.finding_rules import (
    all_effects,
    below,
    points,
    settings_of,
)
from study.finding_text import Section, listed, table

# A model with fewer heads is small: published studies of retrieval heads begin at 512.
SMALL_MODEL = 256
# Wu et al. 2024 mask so many heads.
_MASKED, _MASKED_OF = 20, 1024


def limits(tables: Tables) -> Section:
    """Where the effect is not shown, and why: from the single heads and the cells."""
    lines: list[str] = []
    shown = total = 0
    full: list[str] = []
    counts: dict[str, int] = {reason: 0 for reason in REASONS}
    for (setting, method), found in all_effects(tables).items():
        silent = [effect for effect in found if not below(effect.against)]
        shown, total = shown + len(found) - len(silent), total + len(found)
        name = f"{setting}, {short_method(method)}"
        if not silent:
            full.append(name)
            continue
        lines.append(
            f"- **{name}**: shown for {len(found) - len(silent)} of {len(found)} questions. Not for:"
        )
        for effect in silent:
            reason = why_not(effect, singles(tables, setting, effect.question))
            counts[reason.short] += 1
            lines.append(f"    - {task_name(effect.question)} ({points(effect.against)}): {reason.told}")
    if full:
        lines = [f"Shown for every question: {'; '.join(full)}.", "", *lines]
    cases = f"{shown} of {total}" if shown < total else f"all {total}"
    short = (
        f"Top heads hurt more than random heads of the same layers in {cases} cases (model, length, "
        "method and question)."
    )
    if shown < total:
        short += f" In the others: {'; '.join(f'{why} ({n})' for why, n in counts.items() if n)}."
    return Section(
        "What these models cannot show, and why", (*_by_one_head(tables), *lines, "", *_small(tables)), short
    )


def _by_one_head(tables: Tables) -> list[str]:
    """What heads do one by one: on which everything hangs, and where nothing does."""
    rows = []
    for setting in settings_of(tables):
        for row in picked(tables["clean"], model=setting.model, length=setting.length):
            single = singles(tables, setting, row["question"])
            if single:
                told = "most answers hang on it" if single.carries else "–"
                alone = str(len(single.alone))
                worst = f"{single.worst}: {points(single.change)}"
                rows.append([str(setting), task_name(row["question"]), alone, worst, told])
    if not rows:
        return []
    titles = ("setting", "question", "heads that matter alone", "strongest single head", "")
    return [
        "Each head off by itself. A head matters alone where the 95% interval of the change lies below "
        "0; most answers hang on a head where less than half of them are left without it. Where no head "
        "matters alone and many together do, heads stand in for each other.",
        *table(titles, rows),
    ]


def _small(tables: Tables) -> list[str]:
    """What a small model's size means for the study; nothing where no model is small."""
    small = {
        row["model"]: (row["n_layers"], row["n_heads"])
        for row in tables["clean"]
        if row["n_layers"] * row["n_heads"] <= SMALL_MODEL
    }
    if not small:
        return []
    sizes = sorted(set(small.values()))
    told = [f"{layers} layers of {heads} heads" for layers, heads in sizes]
    shares = [f"{layers * heads * _MASKED / _MASKED_OF:.1f} of {layers * heads}" for layers, heads in sizes]
    return [
        f"Of these models {listed(list(small))} {'are' if len(small) > 1 else 'is'} small "
        f"({listed(told)}). Wu et al. (2024) mask {_MASKED} of {_MASKED_OF:,} heads; the same share here "
        f"is {listed(shares)} heads, and a quarter of all heads is as many as "
        f"{listed([f'{layers / 4:g}' for layers, _ in sizes])} whole layers have. A layer-matched control "
        "then has few other heads to choose from, and its sets are much alike. What holds in a small "
        "model need not hold in a large one, nor the other way round."
    ]
