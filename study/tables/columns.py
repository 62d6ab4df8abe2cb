"""The study's aggregated tables: their columns, reading and writing. `study.tables.building` makes them.

A table is `tables/<name>.json` in the results folder: `columns`, and `rows`, one a line. Here a row is a
dict with just those columns, in their order. Accuracies are shares of samples, 0 to 1, differences -1 to
1; `low` and `high` are the ends of a 95% interval; `n` is how many test samples, `units` of how many
companies (for generated filings the same), which is what the bootstrap draws; `share` is k / all
heads of the model; `length` is tokens of a prompt as the protocol asks for; `data` is "generated" or "real"
filings. What does not apply is null. No row holds a time of day.

- `clean`: accuracy with all heads on (interval: Wilson).
    - stem: whether the answers begin with the task's stem; rows without are there for comparison alone.
    - exact: the share of answers that are the expected value and nothing else.
- `accuracy`: accuracy under each condition.
    - condition: within, across, shared, global, across_data, random_uniform, random_layer_matched.
    - of: for random sets, which tested condition they are the control of (same method, source, k).
    - source: the task whose ranking the tested heads come from; null for shared and global.
    - draws: how many random sets; 1 for tested sets. `accuracy` is the mean over them.
    - low, high: Wilson for tested sets, as if no two samples were of one company; for random sets the
      bootstrap over companies and draws.
    - draw_low, draw_high: least and greatest accuracy of a single draw.
    - short: heads of each random set that come from another layer than they should (layer-matched).
    - unscored: heads of the tested set whose score is not above 0: there for their number alone.
    - Rows of k = 0 stand for `within` and its two controls, so that a curve begins at the clean
      accuracy.
- `differences`: tested - control on the same samples. control: random_uniform or random_layer_matched;
  tested, random: the two accuracies; difference, low, high: paired bootstrap over samples and draws;
  below: high < 0.
- `transfer`: the top k of one question's ranking (source) off while another (question) is asked, the
  question's own top k included. ranked_on: the filings that the heads were ranked on, which may be of the
  other kind. change: accuracy - clean, with the paired interval.
- `single_heads`: each head ablated by itself, perhaps on the first test samples only. head: "L1H3";
  change as in `transfer`.
- `tops`: the top of every ranking, for overlaps. task: one of the ranking tasks; k: min(50, 20% of the
  heads); heads: names in rank order; scores: theirs; samples: how many the ranking is a mean over;
  unscored: heads of the top whose score is not above 0; mean_depth: mean of layer / (layers - 1) over the
  scored ones, null with one layer or none of them.
- `progress`: of how many questions a portion of the cells (`study.ablation.head_sets.portions`) is done.
- `claim`: what the protocol claims beforehand, a row a question: the row of `differences` for its model,
  method, length, k and control. same_layers: the share of the random heads that are of the tested heads'
  own layers, same_layers_needed how many must be; counts: whether the question counts for the claim, by
  both; questions_counted, questions_needed, questions_missing (not run yet); holds: whether enough count
  (the same in every row).
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from study.data.results_folder import ResultPaths, json_lines, save_text
from utils.errors import UserFacingError
from utils.runtime.json_output import to_json

Row = dict[str, Any]

COLUMNS: dict[str, tuple[str, ...]] = {
    name: tuple(columns.split())
    for name, columns in {
        "clean": "model question length data stem n_layers n_heads n units accuracy low high exact",
        "accuracy": "model question length data method condition of source k share n draws accuracy low high "
        "draw_low draw_high short unscored",
        "differences": "model question length data method of source control k share n units draws tested "
        "random difference low high below",
        "transfer": "model method length data ranked_on source question k share n units clean accuracy "
        "change low high",
        "single_heads": "model question length data layer head n units clean accuracy change low high",
        "tops": "model method task length data n_layers n_heads k heads scores samples unscored mean_depth",
        "progress": "model length data portion done questions",
        "claim": "model method length share k control question n tested random difference low high below "
        "same_layers same_layers_needed counts questions_counted questions_needed questions_missing holds",
    }.items()
}
_REMEDY = "Make it with: python scripts/run_study.py ablate"


def save_tables(tables: Mapping[str, Iterable[Row]], folder: Path) -> None:
    """Write tables into the results folder `folder`, numbers with six places.

    Raises:
        ValueError: a row has other columns than its table.
        UserFacingError: the folder cannot be written to.
    """
    for name, rows in tables.items():
        columns = COLUMNS[name]
        values = []
        for row in rows:
            if tuple(row) != columns:
                raise ValueError(f"a row of {name} must have the columns {columns}. Got {tuple(row)}.")
            values.append(to_json(list(row.values())))
        text = json_lines({"columns": list(columns), "rows": values}, ("rows",))
        save_text(ResultPaths(folder).table(name), text)


def load_table(folder: Path, name: str) -> list[Row]:
    """One table of the results folder `folder`, a key of `COLUMNS`.

    Raises:
        UserFacingError: it is not there, or damaged.
    """
    path = ResultPaths(folder).table(name)
    try:
        data = json.loads(path.read_bytes())
        if tuple(data["columns"]) != COLUMNS[name]:
            raise ValueError(f"other columns: {data['columns']}")
        return [dict(zip(COLUMNS[name], row, strict=True)) for row in data["rows"]]
    except FileNotFoundError:
        raise UserFacingError(f"There is no table {path}.", _REMEDY) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserFacingError(f"The table {path} is damaged or cannot be read.", _REMEDY) from error


def load_tables(folder: Path) -> dict[str, list[Row]]:
    """All tables of the results folder `folder`, by name.

    Raises:
        UserFacingError: one of them is not there, or damaged.
    """
    return {name: load_table(folder, name) for name in COLUMNS}
