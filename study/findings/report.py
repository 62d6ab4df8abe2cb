"""FINDINGS.md: the study's answers in words, made from its tables alone.

No number and no verdict in it is written by hand: words follow from intervals by the rules of
`study.findings.rules`, and the same tables give the same file.
"""

from pathlib import Path

from retrieval.rankings.methods import short_method_name
from study.data.results_folder import ResultPaths, save_text
from study.figures.style import Tables, methods_in, task_name, tasks_in
from study.findings.limits import limits
from study.findings.models import answered, claim, methods_alike, models_alike
from study.findings.questions import alike_within, by_category, equal_harm
from study.findings.rules import settings_of
from study.findings.sharing import shared_heads
from study.tables.columns import load_tables
from utils.errors import UserFacingError
from utils.wording import listed

COMMAND = "python scripts/run_study.py report"
_RULES = """\
Accuracies are shares of test samples. Changes and differences are in percentage points with 95% intervals
in brackets, and count as shown where the interval leaves 0 out. Differences on the same samples are paired
(bootstrap); those between questions, whose samples differ, are made of the two intervals (MOVER, Zou and
Donner 2008). Where all samples did the same, the interval is widened by Wilson's for 0 of so many. Beside
each effect stands what as many random heads do: of the same layers, or of any layer, mean over several
draws. An overlap is the Jaccard index of two tops of min(50, 20% of the heads), beside its chance value.
That a head is not needed does not mean that it does nothing: others may stand in for it.

The figures are in `figures/`: open `index.html` there, or the images beside it."""


def write_findings(folder: Path) -> Path:
    """Write FINDINGS.md of the results folder `folder` from its tables; returns its path.

    Raises:
        UserFacingError: a table is missing or damaged, nothing was ablated yet, or the file cannot be
            written.
    """
    path = ResultPaths(folder).findings
    save_text(path, findings(load_tables(folder)))
    return path


def findings(tables: Tables) -> str:
    """The findings as Markdown.

    Raises:
        UserFacingError: the tables are empty.
    """
    if not tables["clean"] or not tables["differences"]:
        raise UserFacingError("There are no ablations to tell of.", "Run: python scripts/run_study.py ablate")
    head = [claim(tables), answered(tables)]
    asked = [equal_harm(tables), shared_heads(tables), by_category(tables), alike_within(tables)]
    besides = [methods_alike(tables), models_alike(tables), limits(tables)]
    lines = [
        "# Findings",
        "",
        f"Made by `{COMMAND}` from the tables beside it; not edited by hand.",
        "",
        _about(tables),
        "",
        "## In short",
        "",
        *(f"- {section.short}" for section in head),
        *(f"- *{section.title}* {section.short}" for section in (*asked, *besides)),
        "",
        "## How to read the numbers",
        "",
        _RULES,
        "",
    ]
    numbered = [(section, "") for section in head]
    numbered += [(section, f"{number}. ") for number, section in enumerate(asked, start=1)]
    numbered += [(section, "") for section in besides]
    for section, number in numbered:
        lines += [f"## {number}{section.title}", "", *section.lines, ""]
    text = "\n".join(lines)
    # Tables bring empty lines of their own.
    while "\n\n\n" in text:
        text = text.replace("\n\n\n", "\n\n")
    return text.rstrip() + "\n"


def _about(tables: Tables) -> str:
    models: dict[str, list[int]] = {}
    for setting in settings_of(tables):
        models.setdefault(setting.model, []).append(setting.length)
    message = [f"{model} ({' and '.join(map(str, lengths))} tokens)" for model, lengths in models.items()]
    methods = [short_method_name(method) for method in methods_in(tables["differences"])]
    questions = [task_name(question) for question in tasks_in(tables["differences"])]
    samples = sorted({row["n"] for row in tables["clean"]})
    span = f"{samples[0]}" if len(samples) == 1 else f"{samples[0]} to {samples[-1]}"
    return (
        f"Models: {listed(message)}. Methods: {listed(methods)}. Questions: {listed(questions)}, with {span} "
        "test samples each."
    )
