"""The aggregated tables, from cells and rankings (`study.tables.columns` says what is in them)."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import fmean

import numpy as np

from retrieval.rankings.overlap import relative_depths, top_size
from study.ablation.head_sets import wanted_portions
from study.data.cell_records import CONTROLS, NO_STEM, TESTED, AblationCell, HeadSet, merged
from study.data.protocol import Protocol
from study.tables.columns import Row
from study.tables.intervals import Interval, mean_bootstrap, paired_bootstrap, share_interval
from utils.catalog.ranking_record import RankingRecord
from utils.heads import parse_head

# What a tested set and its controls have in common.
_Group = tuple[str | None, str | None, str | None, int]


def build_tables(
    cells: Sequence[AblationCell], rankings: Sequence[RankingRecord], protocol: Protocol
) -> dict[str, list[Row]]:
    """All tables. The same cells and rankings give the same tables, in the protocol's order.

    Args:
        cells: of the protocol or of others; those that are not of the protocol are left out.
        rankings: likewise.
        protocol: the protocol.
    """
    settings = [
        (model.name, length, data) for model in protocol.models for length, data in protocol.settings(model)
    ]
    of_cell = {(cell.model, cell.length, cell.data, cell.question): cell for cell in merged(cells)}
    bare = {
        (cell.model, cell.length, cell.data, cell.question): cell for cell in cells if cell.portion == NO_STEM
    }
    asked = [(*setting, question) for setting in settings for question in protocol.questions]
    chosen = [of_cell[key] for key in asked if key in of_cell]
    of_ranking = {
        (one.model_key, one.total_tokens, one.settings.get("data"), one.method, one.question): one
        for one in rankings
    }
    ranked = [
        of_ranking[name, length, data, method, task]
        for name, length, data in settings
        for method in protocol.methods
        for task in protocol.tasks(data)
        if (name, length, data, method, task) in of_ranking
    ]
    differences = [row for cell in chosen for row in difference_rows(cell, protocol)]
    accuracy = [row for cell in chosen for row in accuracy_rows(cell, protocol)]
    return {
        "clean": [clean_row(found[key]) for key in asked for found in (of_cell, bare) if key in found],
        "accuracy": accuracy,
        "differences": differences,
        "transfer": [row for cell in chosen for row in transfer_rows(cell, protocol)],
        "single_heads": [row for cell in chosen for row in single_rows(cell, protocol)],
        "tops": [top_row(record) for record in ranked],
        "progress": progress_rows(cells, protocol),
        "claim": claim_rows(differences, accuracy, chosen, protocol),
    }


def progress_rows(cells: Sequence[AblationCell], protocol: Protocol) -> list[Row]:
    """The rows of `progress`: what the protocol asks for, and how much of it is there."""
    done = Counter((cell.model, cell.length, cell.data, cell.portion) for cell in cells)
    rows = []
    for model in protocol.models:
        settings = protocol.settings(model)
        for length, data in settings:
            moved = any(each == length and kind != data for each, kind in settings)
            for portion in wanted_portions(protocol, length, data, moved):
                rows.append(
                    {
                        "model": model.name,
                        "length": length,
                        "data": data,
                        "portion": portion,
                        "done": done[model.name, length, data, portion],
                        "questions": len(protocol.questions),
                    }
                )
    return rows


def clean_row(cell: AblationCell) -> Row:
    """A cell's row of `clean`."""
    interval = share_interval(sum(cell.clean), len(cell.clean))
    return {
        "model": cell.model,
        "question": cell.question,
        "length": cell.length,
        "data": cell.data,
        "stem": cell.stem and cell.portion != NO_STEM,
        "n_layers": cell.n_layers,
        "n_heads": cell.n_heads,
        "n": len(cell.clean),
        "units": len(set(cell.units)),
        **_named(interval, "accuracy"),
        "exact": fmean(sample.clean_exact for sample in cell.samples),
    }


def accuracy_rows(cell: AblationCell, protocol: Protocol) -> Iterator[Row]:
    """A cell's rows of `accuracy`."""
    for method in dict.fromkeys(one.method for one in cell.sets if one.method is not None):
        clean = share_interval(sum(cell.clean), len(cell.clean))
        for condition in ("within", *CONTROLS):
            of = None if condition == "within" else "within"
            draws = 1 if condition == "within" else protocol.ablation.draws
            yield _accuracy_row(
                cell, (method, condition, of, cell.question), 0, draws, clean, (clean.mean, clean.mean), 0, 0
            )
    for (method, of, source, k), (tested, controls) in _groups(cell).items():
        matches = tested.matches
        interval = share_interval(sum(matches), len(matches))
        names = (method, of, None, source)
        spread = (interval.mean, interval.mean)
        yield _accuracy_row(cell, names, k, 1, interval, spread, 0, tested.unscored)
        for control, draws in controls.items():
            accuracies = [fmean(draw.matches) for draw in draws]
            yield _accuracy_row(
                cell,
                (method, control, of, source),
                k,
                len(draws),
                mean_bootstrap(_table(draws), protocol.resamples, protocol.seed, cell.units),
                (min(accuracies), max(accuracies)),
                draws[0].short,
                0,
            )


def _accuracy_row(
    cell: AblationCell,
    names: tuple[str | None, str | None, str | None, str | None],
    k: int,
    draws: int,
    interval: Interval,
    spread: tuple[float, float],
    short: int,
    unscored: int,
) -> Row:
    method, condition, of, source = names
    return {
        "model": cell.model,
        "question": cell.question,
        "length": cell.length,
        "data": cell.data,
        "method": method,
        "condition": condition,
        "of": of,
        "source": source,
        "k": k,
        "share": k / cell.total_heads,
        "n": len(cell.samples),
        "draws": draws,
        **_named(interval, "accuracy"),
        "draw_low": spread[0],
        "draw_high": spread[1],
        "short": short,
        "unscored": unscored,
    }


def difference_rows(cell: AblationCell, protocol: Protocol) -> Iterator[Row]:
    """A cell's rows of `differences`."""
    for (method, of, source, k), (tested, controls) in _groups(cell).items():
        for control, draws in controls.items():
            interval = paired_bootstrap(
                tested.matches, _table(draws), protocol.resamples, protocol.seed, cell.units
            )
            yield {
                "model": cell.model,
                "question": cell.question,
                "length": cell.length,
                "data": cell.data,
                "method": method,
                "of": of,
                "source": source,
                "control": control,
                "k": k,
                "share": k / cell.total_heads,
                "n": len(cell.samples),
                "units": len(set(cell.units)),
                "draws": len(draws),
                "tested": fmean(tested.matches),
                "random": float(_table(draws).mean()),
                **_named(interval, "difference"),
                "below": interval.high < 0,
            }


def transfer_rows(cell: AblationCell, protocol: Protocol) -> Iterator[Row]:
    """A cell's rows of `transfer`."""
    for one in cell.sets:
        if one.condition in ("within", "across", "across_data"):
            yield {
                "model": cell.model,
                "method": one.method,
                "length": cell.length,
                "data": cell.data,
                "ranked_on": _other_data(cell.data) if one.condition == "across_data" else cell.data,
                "source": one.source,
                "question": cell.question,
                "k": one.k,
                "share": one.k / cell.total_heads,
                **_change(cell, one, protocol),
            }


def single_rows(cell: AblationCell, protocol: Protocol) -> Iterator[Row]:
    """A cell's rows of `single_heads`."""
    for one in cell.sets:
        if one.condition == "single":
            yield {
                "model": cell.model,
                "question": cell.question,
                "length": cell.length,
                "data": cell.data,
                "layer": one.head_set()[0].layer,
                "head": one.heads[0],
                **_change(cell, one, protocol),
            }


def _other_data(data: str) -> str:
    return "real" if data == "generated" else "generated"


def _change(cell: AblationCell, one: HeadSet, protocol: Protocol) -> Row:
    # Single heads may be tried on the first samples only.
    tried = len(one.matches)
    clean, units = cell.clean[:tried], cell.units[:tried]
    interval = paired_bootstrap(one.matches, clean, protocol.resamples, protocol.seed, units)
    return {
        "n": tried,
        "units": len(set(units)),
        "clean": fmean(clean),
        "accuracy": fmean(one.matches),
        **_named(interval, "change"),
    }


def top_row(record: RankingRecord) -> Row:
    """A ranking's row of `tops`."""
    entries = record.head_rankings
    heads = [parse_head(entry.head) for entry in entries]
    n_layers = 1 + max(head.layer for head in heads)
    k = top_size(len(heads))
    unscored = sum(entry.score <= 0 for entry in entries[:k])
    # Heads without a score stand there in the order of layers, so that they would say "early".
    depths = relative_depths(heads[: k - unscored], n_layers) if n_layers > 1 else None
    return {
        "model": record.model_key,
        "method": record.method,
        "task": record.question,
        "length": record.total_tokens,
        "data": record.settings.get("data", "generated"),
        "n_layers": n_layers,
        "n_heads": 1 + max(head.head for head in heads),
        "k": k,
        "heads": [entry.head for entry in entries[:k]],
        "scores": [entry.score for entry in entries[:k]],
        "samples": record.successful_samples,
        "unscored": unscored,
        "mean_depth": fmean(depths) if depths else None,
    }


def claim_rows(
    differences: Iterable[Row], accuracy: Iterable[Row], cells: Sequence[AblationCell], protocol: Protocol
) -> list[Row]:
    """The rows of `claim`: none where nothing is claimed, or where its cells are not there."""
    claim = protocol.claim
    of_model = next((cell for cell in cells if claim and cell.model == claim.model), None)
    if claim is None or of_model is None:
        return []
    k = protocol.claim_k(of_model.total_heads)
    where = {
        "model": claim.model,
        "method": claim.method,
        "length": claim.length,
        "data": protocol.data.source,
        "of": "within",
        "k": k,
    }
    found = [
        row
        for row in differences
        if row["control"] == claim.control and all(row[name] == value for name, value in where.items())
    ]
    short = {
        row["question"]: row["short"]
        for row in accuracy
        if row["condition"] == claim.control and all(row[name] == value for name, value in where.items())
    }
    counted = {
        row["question"]: row["below"] and 1 - short[row["question"]] / k >= claim.same_layers for row in found
    }
    below = sum(counted.values())
    return [
        {
            "model": claim.model,
            "method": claim.method,
            "length": claim.length,
            "share": claim.share,
            "k": k,
            "control": claim.control,
            **{
                name: row[name]
                for name in ("question", "n", "tested", "random", "difference", "low", "high", "below")
            },
            "same_layers": 1 - short[row["question"]] / k,
            "same_layers_needed": claim.same_layers,
            "counts": counted[row["question"]],
            "questions_counted": below,
            "questions_needed": claim.questions,
            "questions_missing": len(protocol.questions) - len(found),
            "holds": below >= claim.questions,
        }
        for row in found
    ]


def _groups(cell: AblationCell) -> Mapping[_Group, tuple[HeadSet, dict[str, list[HeadSet]]]]:
    """Each tested set with its random sets by control, in the cell's order."""
    groups: dict[_Group, tuple[HeadSet, dict[str, list[HeadSet]]]] = {}
    for one in cell.sets:
        if one.condition in TESTED:
            groups[one.method, one.condition, one.source, one.k] = (one, {})
    for one in cell.sets:
        if one.condition in CONTROLS:
            groups[one.method, one.of, one.source, one.k][1].setdefault(one.condition, []).append(one)
    return groups


def _table(draws: Sequence[HeadSet]) -> np.ndarray:
    """Whether each sample is right under each draw [draw, sample]."""
    return np.array([draw.matches for draw in draws], dtype=np.float64)


def _named(interval: Interval, name: str) -> Row:
    return {name: interval.mean, "low": interval.low, "high": interval.high}
