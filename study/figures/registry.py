"""The study's figures, a row each, drawn from its tables for files and for the lab page."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from retrieval.filings.tasks import TASKS
from retrieval.rankings.methods import METHODS, short_method_name
from study.figures import curves, effects, overlap
from study.figures.style import Tables, in_order, task_name
from utils.errors import UserFacingError

Choice = dict[str, Any]

_KNOWN: Mapping[str, Mapping[str, Any]] = {"method": METHODS, "question": TASKS}


@dataclass(frozen=True)
class StudyFigure:
    """One kind of figure.

    Attributes:
        key: name in files and menus.
        title: what it shows, in a few words.
        help: how it is read, for a student.
        table: the table (`study.tables.columns`) that tells what can be chosen.
        choose: columns of that table that distinguish one figure from another, in the order of menus.
        drawing: draws it: tables, a value for each column of `choose`, theme.
    """

    key: str
    title: str
    help: str
    table: str
    choose: tuple[str, ...]
    drawing: Callable[[Tables, Mapping[str, Any], str], go.Figure]

    def choices(self, tables: Tables) -> list[Choice]:
        """Every figure of this kind that the tables hold, one dict with the columns of `choose` each."""
        found = [
            tuple(row[name] for name in self.choose)
            for row in tables[self.table]
            if all(row[name] is not None for name in self.choose)
        ]
        # By the first menu, then the next: models as in the tables, methods and questions as registered.
        orders = [
            in_order((value[position] for value in found), _KNOWN.get(name, ()))
            for position, name in enumerate(self.choose)
        ]
        found = sorted(
            dict.fromkeys(found), key=lambda value: [orders[i].index(part) for i, part in enumerate(value)]
        )
        return [dict(zip(self.choose, value, strict=True)) for value in found]

    def draw(self, tables: Tables, theme: str = "light", **chosen: Any) -> go.Figure:
        """The figure for what is chosen; a column that is not chosen takes its first value.

        Raises:
            UserFacingError: the tables hold no such figure; the remedy names what they do hold.
        """
        choices = self.choices(tables)
        fitting = [c for c in choices if all(c.get(name) == value for name, value in chosen.items())]
        if not fitting:
            wanted = ", ".join(f"{name} {value}" for name, value in chosen.items()) or "this study"
            have = "; ".join(
                f"{name}: {', '.join(dict.fromkeys(str(choice[name]) for choice in choices))}"
                for name in self.choose
            )
            raise UserFacingError(
                f"There is nothing to draw for '{self.title}' ({wanted}).",
                f"There is {have}." if choices else "Run python scripts/run_study.py ablate first.",
            )
        return self.drawing(tables, fitting[0], theme)

    def file_name(self, choice: Choice) -> str:
        """A figure's file without its ending; "/" in a model's name is "--"."""
        parts = [self.key, *(str(choice[name]).replace("/", "--") for name in self.choose)]
        return re.sub(r"[^\w.-]", "_", "__".join(parts))


def choice_label(name: str, value: Any) -> str:
    """A value of a menu in words."""
    if name == "method":
        return short_method_name(value)
    if name == "question":
        return task_name(value)
    if name == "data":
        return f"{value} filings"
    return f"{value} tokens" if name == "length" else str(value)


_BAND = "The bands are 95% intervals."
_ROWS = (
    StudyFigure(
        "accuracy_curve",
        "Accuracy against ablated heads, one question",
        "Solid: the best k heads of this question's own ranking are off. Dashed: as many random heads of "
        "the same layers. Dotted: as many random heads of any layer. Where the solid line falls below "
        f"the dashed one, these heads do more for the answer than others beside them. {_BAND}",
        "accuracy",
        ("model", "method", "question"),
        curves.accuracy_curve,
    ),
    StudyFigure(
        "accuracy_grid",
        "Accuracy against ablated heads, all questions",
        "A row a ranking method, a column a question. Solid: the best k heads of the question's own ranking "
        f"are off; dashed: as many random heads of the same layers; dotted: of any layer. {_BAND}",
        "accuracy",
        ("model", "length", "data"),
        curves.accuracy_grid,
    ),
    StudyFigure(
        "general_heads",
        "Own, shared and global heads",
        "Shared heads are in the tops of most questions; global heads are best by the mean over all "
        "questions. If they hurt as much as a question's own heads, questions are answered by the same "
        f"heads. {_BAND}",
        "accuracy",
        ("model", "method", "length", "data"),
        curves.general_heads,
    ),
    StudyFigure(
        "differences",
        "Top heads against random heads",
        "Right answers with the top heads ablated minus right answers with random heads ablated, on the same "
        "samples. An interval that lies left of 0 shows that these heads matter more than random ones. "
        "Lines are 95% intervals.",
        "differences",
        ("model", "length", "data"),
        effects.differences,
    ),
    StudyFigure(
        "transfer",
        "Heads of one question, asked another",
        "Down: whose heads are off. Across: what is asked. On the diagonal a question loses its own "
        "heads. A row that is strong everywhere holds heads that all questions need.",
        "transfer",
        ("model", "method", "length", "data"),
        effects.transfer,
    ),
    StudyFigure(
        "single_heads",
        "Each head ablated by itself",
        "A head that many answers hang on shows alone. Where no head does, others stand in for the one "
        "that is off. Circles mark heads whose 95% interval does not hold 0.",
        "single_heads",
        ("model", "length", "data"),
        effects.single_heads,
    ),
    StudyFigure(
        "question_overlap",
        "Heads that questions share",
        "The share of heads in both tops among those in either (Jaccard). What two random sets would "
        "share stands in the title.",
        "tops",
        ("model", "length", "data"),
        overlap.question_overlap,
    ),
    StudyFigure(
        "method_overlap",
        "Heads that methods share",
        "The share of heads in both tops among those in either (Jaccard), mean over the questions. What "
        "two random sets would share stands in the title. A top with fewer scored heads than places is "
        "filled up in the order of layers.",
        "tops",
        ("model", "length", "data"),
        overlap.method_overlap,
    ),
    StudyFigure(
        "layer_distribution",
        "Layers of the top heads",
        "How much of each ranking's top lies in each layer, heads without a score left out. The dashed line "
        "is where it would be if the heads were spread evenly.",
        "tops",
        ("model", "length", "data"),
        overlap.layer_distribution,
    ),
    StudyFigure(
        "model_comparison",
        "Models compared",
        "Models of one shape by the heads they share; a head's name means something only where one model "
        "was made from the other. Right: how deep the scored top heads lie, for models of any shape.",
        "tops",
        ("method",),
        overlap.model_comparison,
    ),
)
FIGURES: dict[str, StudyFigure] = {row.key: row for row in _ROWS}
