"""FINDINGS.md: the study's answers in words, made from its tables alone.

No number and no verdict in it is written by hand: words follow from intervals by the rules of
`study.findings.rules`, and the same tables give the same file.
"""

from pathlib import Path

from retrieval.rankings.methods import short_method_name
from study.data.results_folder import ResultPaths, save_text
from study.figures.style import Tables, methods_in, task_name, tasks_in
from study.findings.for_all import for_all
from study.findings.limits import limits
from study.findings.markdown import Section
from study.findings.models import answered, claim, methods_alike, models_alike
from study.findings.published import published
from study.findings.questions import alike_within, by_category, equal_harm
from study.findings.real_filings import real_filings
from study.findings.rules import settings_of
from study.findings.sharing import shared_heads
from study.findings.state import missing, toys
from study.tables.columns import load_tables
from utils.errors import UserFacingError
from utils.wording import listed

COMMAND = "python scripts/run_study.py report"
_RULES = """\
Accuracies are shares of test samples. Changes and differences are in percentage points with 95% intervals
in brackets, and count as shown where the interval leaves 0 out. Differences on the same samples are paired
(bootstrap over samples, of real filings over companies, and over the draws of random heads); those between
questions are made of the two intervals as of independent samples (MOVER, Zou and Donner 2008), which is rough
on real filings, where one filing tells several facts. Where all samples did the same, the interval is
widened by Wilson's for 0 of so many. Beside each effect stands what as many random heads do: of the same
layers, or of any layer, mean over several draws. An overlap is the Jaccard index of two tops of min(50, 20%
of the heads), beside its chance value. That a head is not needed does not mean that it does nothing: others
may stand in for it.

The figures are in `figures/`: open `index.html` there, or the images beside it."""


def write_findings(folder: Path, toy_folder: Path | None = None) -> Path:
    """Write FINDINGS.md of the results folder `folder` from its tables; returns its path.

    Args:
        folder: the results.
        toy_folder: results of the toy models, told of in short; None, or a folder without tables, for none.

    Raises:
        UserFacingError: a table is missing or damaged, nothing was ablated yet, or the file cannot be
            written.
    """
    path = ResultPaths(folder).findings
    beside = None
    if toy_folder is not None and ResultPaths(toy_folder).table("clean").is_file():
        beside = toys(load_tables(toy_folder), f"../{toy_folder.name}")
    save_text(path, findings(load_tables(folder), beside))
    return path


def findings(tables: Tables, beside: Section | None = None) -> str:
    """The findings as Markdown; `beside` is what other models add.

    Raises:
        UserFacingError: the tables are empty.
    """
    if not tables["clean"] or not tables["differences"]:
        raise UserFacingError("There are no ablations to tell of.", "Run: python scripts/run_study.py ablate")
    head = [claim(tables), answered(tables)]
    asked = [equal_harm(tables), shared_heads(tables), by_category(tables), alike_within(tables)]
    last = [for_all(tables), real_filings(tables), published(tables), beside, limits(tables), missing(tables)]
    besides = [methods_alike(tables), *([models_alike(tables)] if _several(tables) else [])]
    besides += [section for section in last if section is not None]
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
        *(f"- *{_sentence(section.title)}* {section.short}" for section in (*asked, *besides)),
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


def _sentence(title: str) -> str:
    """A heading with the mark that ends it in running text."""
    return title if title.endswith("?") else f"{title}."


def _several(tables: Tables) -> bool:
    return len({row["model"] for row in tables["tops"]}) > 1


def _about(tables: Tables) -> str:
    models: dict[str, list[str]] = {}
    for setting in settings_of(tables):
        models.setdefault(setting.model, []).append(setting.prompts)
    message = [f"{model} ({listed(prompts)})" for model, prompts in models.items()]
    methods = [short_method_name(method) for method in methods_in(tables["differences"])]
    questions = [task_name(question) for question in tasks_in(tables["differences"])]
    samples = sorted({row["n"] for row in tables["clean"]})
    span = f"{samples[0]}" if len(samples) == 1 else f"{samples[0]} to {samples[-1]}"
    return (
        f"Models: {listed(message)}. Methods: {listed(methods)}. Questions: {listed(questions)}, with {span} "
        "test samples each."
    )
