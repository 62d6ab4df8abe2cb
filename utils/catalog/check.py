"""What is wrong with a catalog file, beyond what `load_catalog` refuses: does it agree with itself?

A catalog may have been edited by hand, renamed, or made by an earlier version. Neither a model nor torch is
needed to see that.
"""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from pydantic import JsonValue, ValidationError

from utils.catalog.catalog import Catalog, Category, Matrix, catalog_path, read_catalog
from utils.catalog.listing import ScoredHead, other_heads, top_heads
from utils.catalog.ranking_record import RankingRecord
from utils.errors import UserFacingError
from utils.heads import Head
from utils.roles.registry import ROLES
from utils.runtime.validation import what_is_wrong


def find_catalogs(paths: Sequence[Path]) -> tuple[list[Path], list[UserFacingError]]:
    """The catalog files among `paths`, of a folder all its JSON files; and what is wrong with `paths`."""
    found: list[Path] = []
    problems: list[UserFacingError] = []
    for path in paths:
        if path.is_dir():
            # A name with a dot in front is a file in the making.
            files = sorted(file for file in path.glob("*.json") if not file.name.startswith("."))
            if not files:
                problems.append(
                    UserFacingError(
                        f"There is no catalog in {path}.", "Make one with --model, or name another."
                    )
                )
            found += files
        elif path.exists():
            found.append(path)
        else:
            problems.append(UserFacingError(f"{path} does not exist.", "Name a catalog or a folder of them."))
    return found, problems


def catalog_problems(path: Path, methods: Collection[str] = ()) -> list[str]:
    """What is wrong with one catalog file, a sentence each; an empty list where nothing is.

    Args:
        path: the file.
        methods: the ranking methods that there are; none where nobody asks.
    """
    try:
        catalog = read_catalog(path)
    except UserFacingError as error:
        return [str(error)]
    unknown = [method for method in catalog.rankings if methods and method not in methods]
    return [
        *_problems(catalog, path),
        *(f"rankings has '{method}', and the methods are {', '.join(methods)}" for method in unknown),
    ]


def _problems(catalog: Catalog, path: Path) -> Iterator[str]:
    expected = catalog_path(catalog.model_name, path.parent).name
    if path.name != expected:
        yield f"it is the catalog of {catalog.model_name} and should be named {expected}"
    if missing := [role for role in ROLES if role not in catalog.categories]:
        yield f"categories lacks {', '.join(missing)}"
    yield from _threshold_problems(catalog)
    for role, category in catalog.categories.items():
        yield from _list_problems(catalog, role, category)
        yield from _prompt_problems(role, category)
    for role, probes in catalog.probe_scores.items():
        yield from _probe_problems(catalog, role, probes)
    for method, records in catalog.rankings.items():
        yield from _ranking_problems(catalog, method, records)


def _threshold_problems(catalog: Catalog) -> Iterator[str]:
    stated = catalog.settings.thresholds
    if set(stated) != set(catalog.all_scores):
        yield f"settings.thresholds must hold just {', '.join(catalog.all_scores)}"
    for role, now in ((role, ROLES[role]) for role in stated if role in ROLES):
        thresholds = stated[role]
        if thresholds.lower_threshold > thresholds.threshold:
            yield f"the lower threshold of {role} is above its threshold"
        if (thresholds.threshold, thresholds.lower_threshold) != (now.threshold, now.lower_threshold):
            yield (
                f"{role} was listed from {thresholds.threshold} (other layers {thresholds.lower_threshold}), "
                f"now it is {now.threshold} ({now.lower_threshold}): make the catalog again"
            )


def _list_problems(catalog: Catalog, role: str, category: Category) -> Iterator[str]:
    """The list must be the one that the scores and the stated thresholds make."""
    stated = catalog.settings.thresholds
    if not set(catalog.all_scores) <= set(stated):
        return  # reported already
    expected: list[ScoredHead]
    if ROLES[role].measured:
        thresholds = stated[role]
        expected = top_heads(catalog.all_scores[role], thresholds.threshold, thresholds.lower_threshold)
    elif all(stated[measured].threshold > 0 for measured in catalog.all_scores):
        expected = other_heads(
            catalog.all_scores, {measured: stated[measured].threshold for measured in catalog.all_scores}
        )
    else:
        yield f"with a threshold of 0 no head can be listed under {role}"
        return
    listed = [(Head(entry.layer, entry.head), entry.score) for entry in category.top_heads]
    if listed == expected:
        return
    if {head for head, _ in listed} != {head for head, _ in expected}:
        yield f"{role} lists {_names(listed)}, by its scores it should be {_names(expected)}"
    elif sorted(listed) != sorted(expected):
        wrong = next(head for head, score in listed if (head, score) not in expected)
        yield f"{role} lists {wrong} with another score than all_scores has"
    else:
        yield f"{role} does not list its heads best first"


def _names(heads: Sequence[ScoredHead]) -> str:
    return ", ".join(str(head) for head, _ in heads[:8]) + (" ..." if len(heads) > 8 else "") or "no head"


def _prompt_problems(role: str, category: Category) -> Iterator[str]:
    prompts = category.suggested_prompts
    if any(not prompt.strip() for prompt in prompts):
        yield f"a suggested prompt of {role} is empty"
    if len(set(prompts)) < len(prompts):
        yield f"{role} suggests a prompt twice"
    if prompts and not (ROLES[role].measured and category.top_heads):
        yield f"{role} suggests prompts and has no head that they could activate"


def _probe_problems(catalog: Catalog, role: str, probes: dict[str, Matrix]) -> Iterator[str]:
    """Where there are several sets of test inputs the score is one of the means, by the role's rule."""
    if role not in catalog.all_scores:
        yield f"probe_scores has {role}, which has no scores"
        return
    choose = max if ROLES[role].combine == "largest" else min
    for layer, row in enumerate(catalog.all_scores[role]):
        for head, score in enumerate(row):
            if score != choose(table[layer][head] for table in probes.values()):
                which = ROLES[role].combine
                yield f"the score of {Head(layer, head)} for {role} is not the {which} of its probe_scores"
                return


def _ranking_problems(
    catalog: Catalog, method: str, records: Sequence[dict[str, JsonValue]]
) -> Iterator[str]:
    """Each record must be whole, of this model and method, and the only one of its question and length."""
    heads = {Head(layer, head) for layer in range(catalog.num_layers) for head in range(catalog.num_heads)}
    seen = set()
    for number, data in enumerate(records, start=1):
        where = f"ranking {number} by {method}"
        try:
            record = RankingRecord.model_validate(data)
        except ValidationError as error:
            yield f"{where} is damaged: {what_is_wrong(error)}"
            continue
        if record.method != method:
            yield f"{where} is one by {record.method}"
        if record.model_name != catalog.model_name:
            yield f"{where} is of {record.model_name}"
        if set(record.heads()) != heads:
            yield f"{where} must rank the {len(heads)} heads of the model, each once"
        if (what := (record.question, record.length)) in seen:
            yield f"{where} is the second for {record.question} at {record.length} tokens"
        seen.add(what)
