"""What holds on real filings, and whether heads found on one kind of filings matter on the other."""

from retrieval.rankings.methods import short_method_name
from study.figures.style import Tables, compared_k, picked, prompts_of, task_name
from study.findings.markdown import Section, table
from study.findings.rules import CONTROL, below, interval, percent, points
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
        shown = sum(below(interval(row, "difference")) for row in here)
        said.append(f"{name[0].lower()}{name[1:]}: {shown} of {len(here)} below 0")
    short = (
        "Top heads against random heads of the same layers, cases whose interval lies below 0: "
        f"{'; '.join(said)} (a case is a method and a question)."
    )
    lines += [
        "Half of the companies are for ranking and the others for ablation; a company is on one side. The "
        "samples are few and several are of one company, so these intervals are, if anything, too narrow. "
        "Where most companies have one answer (Delaware), part of what is right may be a guess: "
        "data_report.md has the shares.",
    ]
    return Section(TITLE, tuple(lines), short)


_TITLES = ("prompts", "method", "question", "samples", "all on", "top off", "random off", "top - random")


def _line(tables: Tables, row: Row) -> list[str]:
    where = {name: row[name] for name in ("model", "length", "data", "question")}
    clean = [one for one in picked(tables["clean"], **where) if one["stem"]] or picked(
        tables["clean"], **where
    )
    return [
        prompts_of(row),
        short_method_name(row["method"]),
        task_name(row["question"]),
        str(row["n"]),
        percent(clean[0]["accuracy"]) if clean else "–",
        percent(row["tested"]),
        percent(row["random"]),
        points(interval(row, "difference")),
    ]
