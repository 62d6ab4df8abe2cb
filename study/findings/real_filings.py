"""What holds on real filings, and whether heads found on one kind of filings matter on the other."""

from collections.abc import Sequence

from retrieval.rankings.methods import short_method_name
from study.figures.style import Tables, compared_k, picked, prompts_of, task_name
from study.findings.markdown import Section, table
from study.findings.rules import CONTROL, hurts, interval, percent, points, samples_of
from study.tables.columns import Row

TITLE = "What holds on real filings"


def real_filings(tables: Tables) -> Section | None:
    """Own heads on real filings, and heads ranked on the other kind; None in a study without any."""
    rows = [row for row in tables["differences"] if row["data"] == "real" or row["of"] == "across_data"]
    if not any(row["data"] == "real" for row in tables["progress"]):
        return None
    if not rows:
        message = "Nothing was run on real filings yet."
        return Section(TITLE, (message,), message)
    lines: list[str] = []
    said: list[str] = []
    for name, of, data in (
        ("Ranked and ablated on real filings", "within", "real"),
        ("Ranked on generated filings, ablated on real ones", "across_data", "real"),
        ("Ranked on real filings, ablated on generated ones", "across_data", "generated"),
    ):
        here = picked(rows, of=of, data=data, control=CONTROL)
        here = picked(here, k=compared_k(here, tables))
        if not here:
            continue
        lines += [f"**{name}**", *table(_TITLES, [_line(tables, row) for row in here])]
        shown = sum(_hurt(tables, row) for row in here)
        said.append(f"{name[0].lower()}{name[1:]}: {shown} of {len(here)}")
    short = (
        "Cases in which the top heads take answers away, and more of them than random heads of the same "
        f"layers do (both intervals below 0): {'; '.join(said)} (a case is a method and a question)."
    )
    if raised := _raised(tables, rows):
        short += f" {raised}"
    lines += [
        "Half of the companies are for ranking and the others for ablation; a company is on one side. "
        "Several real filings are of one company, so their intervals are over companies, of which there are "
        "few: a bootstrap over so few is, if anything, too narrow. A ranking is a mean over the samples that "
        "count in it (answered rightly, for Wu24), and these are few too. Where most companies have one "
        "answer (Delaware), part of what is right may be a guess: data_report.md has the shares.",
    ]
    return Section(TITLE, tuple(lines), short)


def _transfer(tables: Tables, row: Row) -> Row:
    """The row of `transfer` with the tested heads of a row of `differences`."""
    where = {name: row[name] for name in ("model", "length", "data", "method", "question", "source", "k")}
    moved = row["of"] == "across_data"
    (found,) = [
        one for one in picked(tables["transfer"], **where) if (one["ranked_on"] != one["data"]) == moved
    ]
    return found


def _hurt(tables: Tables, row: Row) -> bool:
    """Whether the tested heads of a row of `differences` are shown to hurt, and more than its random ones."""
    return hurts(interval(_transfer(tables, row), "change"), interval(row, "difference"))


def _raised(tables: Tables, rows: Sequence[Row]) -> str:
    """On which real filings random heads of the same layers are shown to make more answers right."""
    here = picked(rows, of="within", data="real", control=CONTROL)
    found = []
    for row in picked(here, k=compared_k(here, tables)):
        same = {name: row[name] for name in ("model", "length", "data", "method", "question", "source", "k")}
        control = picked(tables["accuracy"], **same, condition=CONTROL, of="within")
        clean = _transfer(tables, row)["clean"]
        if control and control[0]["low"] > clean:
            found.append(
                f"{task_name(row['question'])} ({short_method_name(row['method'])}) from {percent(clean)} to "
                f"{percent(row['random'])}"
            )
    return f"Random heads of the same layers raise what is right: {'; '.join(found)}." if found else ""


_TITLES = (
    "prompts",
    "method",
    "question",
    "samples",
    "ranking's samples",
    "all on",
    "top off",
    "random off",
    "top - all on",
    "top - random",
)


def _line(tables: Tables, row: Row) -> list[str]:
    where = {name: row[name] for name in ("model", "length")}
    own = _transfer(tables, row)
    ranked = picked(tables["tops"], **where, data=own["ranked_on"], method=row["method"], task=row["source"])
    return [
        prompts_of(row),
        short_method_name(row["method"]),
        task_name(row["question"]),
        samples_of(row),
        str(ranked[0]["samples"]) if ranked else "–",
        percent(own["clean"]),
        percent(row["tested"]),
        percent(row["random"]),
        points(interval(own, "change")),
        points(interval(row, "difference")),
    ]
