"""What one browser's lab page is about: its stores and controls, parsed."""

from typing import Any

from retrieval.lab.state import RANKINGS, LabView
from retrieval.rankings.methods import METHODS
from utils.errors import UserFacingError
from utils.forward.ablation import ABLATION_MODES
from utils.heads import parse_head


def parse_view(method: Any, ranking: Any, head: Any, k: Any, mode: Any) -> LabView:
    """What the controls say; what makes no sense is left to the defaults."""
    view = LabView()
    try:
        chosen = parse_head(str(head)) if head else None
    except UserFacingError:
        chosen = None
    return LabView(
        method=method if method in METHODS else view.method,
        ranking=ranking if ranking in RANKINGS else view.ranking,
        head=chosen,
        k=int(k) if str(k).isdecimal() else None,
        mode=mode if mode in ABLATION_MODES else view.mode,
    )


def whole(value: Any, what: str, nothing: int | None) -> int | None:
    """A number of the form; `nothing` for an empty box.

    Raises:
        UserFacingError: it is no whole number from 0.
    """
    if value is None or value == "":
        return nothing
    try:
        number = int(value)
        if number == float(value) and number >= 0:
            return number
    except (TypeError, ValueError, OverflowError):
        pass
    raise UserFacingError(f"{what} is no whole number from 0.", "Type one, such as 1.")
