"""What of a study is not there yet, and what its toy models add: sections at the end of FINDINGS.md."""

from study.figures.style import Tables, prompts_of
from study.findings.markdown import Section, table
from study.findings.models import answered, claim, models_alike

MISSING = "What is not run yet"
TOYS = "What the toy models add"


def missing(tables: Tables) -> Section | None:
    """The portions of the protocol that are not done for all questions; None where everything is."""
    rows = [row for row in tables["progress"] if row["done"] < row["questions"]]
    if not rows:
        return None
    done = sum(row["done"] for row in tables["progress"])
    asked = sum(row["questions"] for row in tables["progress"])
    places: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        done_here = f" ({row['done']} of {row['questions']} questions done)" if row["done"] else ""
        places.setdefault((row["model"], prompts_of(row)), []).append(f"{row['portion']}{done_here}")
    lines = [
        "The study can be stopped, and the same command goes on from there (README.md). Not done yet:",
        *table(
            ("model", "prompts", "portions"),
            [[model, prompts, ", ".join(portions)] for (model, prompts), portions in places.items()],
        ),
    ]
    short = f"{done} of {asked} cells are done: what is said here is said of these."
    return Section(MISSING, tuple(lines), short)


def toys(tables: Tables, folder: str) -> Section:
    """What a study of toy models says, in short; `folder` is where its findings are."""
    parts = [claim(tables).short, answered(tables).short, models_alike(tables).short]
    lines = [
        *(f"- {part}" for part in parts),
        "",
        "A toy model's copying heads fill a layer, so that a layer-matched control has few heads to take and "
        "must come from other layers; what it adds is a base model beside its instruct model, head by head. "
        f"All of it: {folder}/FINDINGS.md.",
    ]
    return Section(TOYS, tuple(lines), f"{parts[-1]} (Their own findings: {folder}/FINDINGS.md.)")
