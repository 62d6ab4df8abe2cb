"""Every head with every role as a CSV table, whatever program opens it."""

import csv
import io
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from utils.heads import Head
from utils.live.analysis import LiveAnalysis
from utils.runtime.json_output import to_json

COLUMNS = (
    "layer",
    "head",
    "role",
    "catalog_score",
    "live_score",
    "chance",
    "active",
    "has_role",
    "listed",
    "ablated",
    "unlisted_active",
    "model",
    "prompt",
)
# How a spreadsheet program knows a formula; the last four are the wide forms of East Asian keyboards. A cell
# begins also after whatever separator the program is set to: where ours is a comma, another's is a semicolon.
# Possessive, and with or without a formula behind: spaces are read once.
_FORMULA = re.compile("""(?:^|[;,|\t\r\n])["\\s]*+(?P<formula>[-=+@\uff1d\uff0b\uff0d\uff20])?""")


def heads_csv(analysis: LiveAnalysis, ablated: Iterable[Head] = ()) -> str:
    """Every head with every role as CSV (RFC 4180, UTF-8), a row a head and role.

    Text is safe in a spreadsheet program: what would be a formula begins with an apostrophe. A cell is empty
    where there is no such number: no catalog, no chance level, a role that the text does not call for.
    """
    off = set(ablated)
    rows = []
    for role, asked in analysis.scores.inputs.items():
        live, applicable = analysis.scores.live[role].tolist(), analysis.scores.target(role).applicable
        shows = analysis.scores.clear_pattern(role).tolist()
        table = analysis.catalog.all_scores.get(role) if analysis.catalog else None
        for layer, number in _all_heads(analysis):
            head = Head(layer, number)
            carried = analysis.roles_of(head).get(role)
            rows.append(
                {
                    "layer": layer,
                    "head": number,
                    "role": role,
                    "catalog_score": table[layer][number] if table else None,
                    "live_score": live[layer][number] if applicable else None,
                    "chance": asked[layer].chance,
                    "active": carried is not None and carried.is_active,
                    "has_role": carried is not None,
                    "listed": any(entry.head == head for entry in analysis.listed.get(role, ())),
                    "ablated": head in off,
                    "unlisted_active": carried is None and shows[layer][number],
                    "model": analysis.loaded.name,
                    "prompt": analysis.prompt.text,
                }
            )
    rows.sort(key=lambda row: (row["layer"], row["head"]))
    return csv_text(COLUMNS, rows)


def _all_heads(analysis: LiveAnalysis) -> list[tuple[int, int]]:
    geometry = analysis.loaded.geometry
    return [(layer, head) for layer in range(geometry.n_layers) for head in range(geometry.n_heads)]


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows as CSV, whatever text is in them."""
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([_cell(row[column]) for column in columns] for row in rows)
    return target.getvalue()


def _cell(value: Any) -> str | int | float:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and math.isnan(value):
        return ""
    if isinstance(value, str):
        return safe_cell(value)
    plain = to_json(value)
    if plain is None:
        return ""
    if not isinstance(plain, int | float):
        raise TypeError(f"a cell must be text or a number. Got a {type(value).__name__}.")
    return plain


def safe_cell(text: str) -> str:
    """Text that a spreadsheet program takes for text: each formula is put behind an apostrophe.

    >>> safe_cell("a;=1+1")
    "a;'=1+1"
    """
    return _FORMULA.sub(_guarded, text)


def _guarded(found: re.Match[str]) -> str:
    formula = found["formula"]
    if formula:
        return f"{found[0][:-1]}'{formula}"
    # A cell that begins so is a formula to some programs, whatever comes behind.
    begins = found.start() == 0 and found[0].startswith(("\t", "\r", "\n"))
    return f"'{found[0]}" if begins else found[0]
