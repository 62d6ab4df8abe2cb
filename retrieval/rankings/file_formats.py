"""From the data of a ranking file to heads in order: one function per known shape (see `published`)."""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from utils.errors import UserFacingError
from utils.heads import Head, parse_head

# "13-18" or "10_3", as in the files of Wu et al. and QRHead; other spellings are `parse_head`'s.
_PAIR = re.compile(r"\s*(\d{1,4})[-_](\d{1,4})\s*")
# Where QRHead's files keep their heads and their model.
_YAML_HEADS = "attn_head_set"
_YAML_MODEL = ("model_name_or_path", "model_base_class", "model")
_MODEL_KEYS = ("model_name", "model", "model_key")


class NotARankingError(Exception):
    """The data is no ranking; the message says what is wrong and where, without a full stop."""


@dataclass(frozen=True)
class Ranked:
    """Heads in order, as a file gives them.

    Attributes:
        heads: best first.
        scores: one a head in the same order, or None.
        shape: layers and heads a layer, None where the file does not tell.
        model: the model's name, or "".
        method: the ranking method, or "".
        detected_on: the question or data, or "".
        label: what to call it, or "" for the file's name.
    """

    heads: tuple[Head, ...]
    scores: tuple[float, ...] | None = None
    shape: tuple[int, int] | None = None
    model: str = ""
    method: str = ""
    detected_on: str = ""
    label: str = ""


def read_json(data: Any) -> list[Ranked]:
    """The rankings in JSON data.

    Raises:
        NotARankingError: it has none of the known shapes, or something in it is wrong.
    """
    if isinstance(data, list):
        return [_in_order(data, "the list")]
    if not isinstance(data, dict):
        raise NotARankingError(f"it holds {_kind(data)} where an object was expected")
    if "head_rankings" in data or "top_50_heads" in data:
        return [_record(data, "")]
    if isinstance(data.get("rankings"), dict):
        return _catalog(data)
    return [_scores_by_head(data)]


def read_yaml(data: Any) -> list[Ranked]:
    """The ranking in YAML data: the list under QRHead's key, or under the one key that holds such a list.

    Raises:
        NotARankingError: there is no such list, or there are two.
    """
    if isinstance(data, str | list):
        return [_in_order(data, "the list")]
    if not isinstance(data, dict):
        raise NotARankingError(f"it holds {_kind(data)} where a list of heads was expected")
    if "head_rankings" in data or "top_50_heads" in data:
        return [_record(data, "")]
    if _YAML_HEADS in data:
        key = _YAML_HEADS
    else:
        keys = [name for name, value in data.items() if _looks_like_heads(value)]
        if len(keys) != 1:
            have = "none of its keys holds" if not keys else f"{' and '.join(map(str, keys[:3]))} each hold"
            raise NotARankingError(f"{have} a list of heads")
        key = keys[0]
    ranked = _in_order(data[key], str(key))
    return [Ranked(ranked.heads, model=_text(data, _YAML_MODEL), method="qrhead")]


def _looks_like_heads(value: Any) -> bool:
    first = value[0] if isinstance(value, list) and value else value
    if isinstance(first, str):
        try:
            _head(first.split(",")[0], "")
        except NotARankingError:
            return False
        return True
    return False


def _in_order(value: Any, position: str) -> Ranked:
    """Heads that stand in rank order: a string with commas, or a list of names or [layer, head] pairs."""
    if isinstance(value, str):
        if re.fullmatch(r"\s*full(_heads?)?\s*", value):
            raise NotARankingError(f"at {position}: '{value.strip()}' means every head and ranks none")
        parts: Sequence[Any] = [part for part in re.split(r"[,;\s]+", value) if part]
    elif isinstance(value, list):
        parts = value
    else:
        raise NotARankingError(f"at {position}: expected a list of heads, got {_kind(value)}")
    heads = [_head(part, f"{position}, entry {number}") for number, part in enumerate(parts, start=1)]
    return Ranked(_each_once(heads, position))


def _record(data: Mapping[str, Any], where: str) -> Ranked:
    """A ranking record: this project's, or another study's with the same names."""
    rows = data.get("head_rankings", data.get("top_50_heads"))
    position = where + ("head_rankings" if "head_rankings" in data else "top_50_heads")
    if not isinstance(rows, list) or not rows:
        raise NotARankingError(f"at {position}: expected a list of heads, got {_kind(rows)}")
    if all(isinstance(row, str) for row in rows):
        ranked = _in_order(rows, position)
        heads, scores = ranked.heads, None
    else:
        heads, scores = _ranked_rows(rows, position)
    model = _text(data, _MODEL_KEYS)
    question = _text(data, ("question",))
    method = _text(data, ("method",))
    length = data.get("length", data.get("total_tokens"))
    parts = (model, method, question, str(length) if isinstance(length, int) else "")
    named = " ".join(part for part in parts if part)
    return Ranked(heads, scores, _shape(data, heads), model, method, question, named if question else "")


def _ranked_rows(rows: Sequence[Any], position: str) -> tuple[tuple[Head, ...], tuple[float, ...] | None]:
    """Rows {"head", "score", "rank"}: by rank where there is one, otherwise as they stand."""
    found: list[tuple[float, Head, float | None]] = []
    for number, row in enumerate(rows, start=1):
        here = f"{position}, entry {number}"
        if not isinstance(row, dict) or "head" not in row:
            raise NotARankingError(f'at {here}: expected an object with "head", got {_kind(row)}')
        rank = _number(row["rank"], f"{here}, rank") if row.get("rank") is not None else float(number)
        score = _number(row["score"], f"{here}, score") if row.get("score") is not None else None
        found.append((rank, _head(row["head"], here), score))
    ranks = [rank for rank, _, _ in found]
    if len(set(ranks)) < len(ranks):
        twice = next(rank for rank, times in Counter(ranks).items() if times > 1)
        raise NotARankingError(f"at {position}: rank {twice:g} stands twice")
    found.sort(key=lambda entry: entry[0])
    heads = _each_once([head for _, head, _ in found], position)
    scores = [score for _, _, score in found if score is not None]
    if scores and len(scores) < len(heads):
        raise NotARankingError(
            f"at {position}: {len(heads) - len(scores)} of {len(heads)} heads have no score"
        )
    return heads, tuple(scores) or None


def _catalog(data: Mapping[str, Any]) -> list[Ranked]:
    """All rankings of one of this project's catalogs."""
    found: list[Ranked] = []
    for method, records in data["rankings"].items():
        if not isinstance(records, list):
            raise NotARankingError(f"at rankings.{method}: expected a list, got {_kind(records)}")
        for number, record in enumerate(records, start=1):
            where = f"rankings.{method}.{number}."
            if not isinstance(record, dict):
                raise NotARankingError(f"at {where[:-1]}: expected an object, got {_kind(record)}")
            shape = {"n_layers": data.get("num_layers"), "n_heads": data.get("num_heads")}
            names = {"model_name": data.get("model_name"), "method": method}
            found.append(_record({**names, **shape, **record}, where))
    if not found:
        raise NotARankingError("at rankings: this catalog has none yet")
    return found


def _scores_by_head(data: Mapping[str, Any]) -> Ranked:
    """The score files of Wu et al.: a list of scores (a score a sample) for each head; best mean first."""
    if not data:
        raise NotARankingError("it is empty")
    means: dict[Head, float] = {}
    for name, value in data.items():
        if _PAIR.fullmatch(name) is None:
            raise NotARankingError(f"at '{name[:40]}': this is no head of the form layer-head")
        head = _head(name, f"'{name}'")
        if head in means:
            raise NotARankingError(f"at '{name}': head {head} stands twice")
        scores = value if isinstance(value, list) else [value]
        if not scores:
            raise NotARankingError(f"at '{name}': the list of scores is empty")
        numbers = [_number(score, f"'{name}', score {n}") for n, score in enumerate(scores, start=1)]
        means[head] = math.fsum(numbers) / len(numbers)
    # By layer and head where scores are equal, as most are that are 0.
    ranked = sorted(means.items(), key=lambda entry: (-entry[1], entry[0]))
    heads = tuple(head for head, _ in ranked)
    return Ranked(heads, tuple(score for _, score in ranked), _shape(data, heads), method="wu24")


def _shape(data: Mapping[str, Any], heads: Sequence[Head]) -> tuple[int, int] | None:
    """The model's shape: as the file tells it, or that of its heads where they fill a grid."""
    message = data.get("n_layers"), data.get("n_heads")
    if isinstance(message[0], int) and isinstance(message[1], int):
        layers, width = message[0], message[1]
        for head in heads:
            if head.layer >= layers or head.head >= width:
                raise NotARankingError(f"{head} is no head of a model of {layers} layers of {width} heads")
        return layers, width
    layers = max(head.layer for head in heads) + 1
    width = max(head.head for head in heads) + 1
    return (layers, width) if len(heads) == layers * width else None


def _head(value: Any, position: str) -> Head:
    if isinstance(value, list) and len(value) == 2 and all(type(part) is int and part >= 0 for part in value):
        return Head(*value)
    if isinstance(value, str):
        if pair := _PAIR.fullmatch(value):
            return Head(int(pair[1]), int(pair[2]))
        try:
            return parse_head(value)
        except UserFacingError:
            pass
        raise NotARankingError(f"at {position}: '{value[:40]}' is not the name of a head")
    raise NotARankingError(f"at {position}: expected the name of a head, got {_kind(value)}")


def _each_once(heads: Sequence[Head], position: str) -> tuple[Head, ...]:
    if not heads:
        raise NotARankingError(f"at {position}: the list of heads is empty")
    seen: set[Head] = set()
    for head in heads:
        if head in seen:
            raise NotARankingError(f"at {position}: head {head} stands twice")
        seen.add(head)
    return tuple(heads)


def _number(value: Any, position: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise NotARankingError(f"at {position}: expected a number, got {_kind(value)}")
    if not math.isfinite(value):
        raise NotARankingError(f"at {position}: {value} is not a finite number")
    return float(value)


def _text(data: Mapping[str, Any], keys: Sequence[str]) -> str:
    return next((data[key] for key in keys if isinstance(data.get(key), str) and data[key]), "")


def _kind(value: Any) -> str:
    """What a value of a file is, in words."""
    if value is None:
        return "nothing"
    if isinstance(value, list | dict) and not value:
        return "an empty list" if isinstance(value, list) else "an empty object"
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false"}
    return names.get(type(value), "a number" if isinstance(value, int | float) else "something else")
