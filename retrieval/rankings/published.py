"""Rankings of retrieval heads from elsewhere: the published ones kept here, and files in known shapes.

Known shapes of a file:

- the score files of Wu et al. 2024 (repository nightdessert/Retrieval_Head, `head_score/`): JSON,
  `{"layer-head": [score, ...]}`, a score a sample. A head's score is their mean;
- the head lists of QRHead (Zhang et al. 2025, repository princeton-pli/QRHead, `src/qrretriever/configs/`):
  YAML, the heads as one string ("13-18,13-21" or "10_3,11_2") or as a list, under any key or none;
- ranking records, this project's and those of other studies: JSON, `head_rankings: [{"head": "L14H31",
  "score", "rank"}]`, or `top_50_heads` alone;
- a catalog of this project: all records of its `rankings`.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from retrieval.rankings.file_formats import NotARankingError, Ranked, read_json, read_yaml
from utils.errors import UserFacingError
from utils.heads import Head, parse_head

PUBLISHED_FILE = (
    Path(__file__).resolve().parents[2] / "head_categories" / "published" / "retrieval_heads.json"
)
REMEDY = (
    'Known are JSON with "head_rankings", JSON of the form {"layer-head": [scores]}, and YAML with a list '
    'such as "13-18,13-21".'
)


@dataclass(frozen=True)
class PublishedRanking:
    """One ranking of a model's heads, best first; of all heads or of the first few.

    Attributes:
        name: what it is called in tables.
        source: where it is from: a paper and its repository, or a file's name.
        heads: in rank order, none twice.
        scores: one a head, in the same order; None where only the order is known.
        n_layers: layers of the model, None where it is not known.
        n_heads: query heads a layer, None where it is not known.
        model: the model's name, "" where it is not known.
        method: key of the ranking method, "" where it is not known.
        detected_on: the data that it was found on, "" where it is not known.
        share_at_least: share of all heads with a score of at least 0.1, where it is published.
    """

    name: str
    source: str
    heads: tuple[Head, ...]
    scores: tuple[float, ...] | None = None
    n_layers: int | None = None
    n_heads: int | None = None
    model: str = ""
    method: str = ""
    detected_on: str = ""
    share_at_least: float | None = None

    @property
    def shape(self) -> tuple[int, int] | None:
        """Layers and heads a layer, where both are known."""
        if self.n_layers is None or self.n_heads is None:
            return None
        return self.n_layers, self.n_heads


@cache
def published() -> tuple[PublishedRanking, ...]:
    """The published rankings that are kept with HeadScope (head_categories/published/).

    Raises:
        UserFacingError: the file is missing or damaged.
    """
    try:
        data = json.loads(PUBLISHED_FILE.read_bytes())
        return tuple(
            PublishedRanking(
                name=row["name"],
                source=data["sources"][row["method"]],
                heads=tuple(parse_head(name) for name in row["heads"]),
                scores=tuple(row["scores"]) if "scores" in row else None,
                n_layers=row["n_layers"],
                n_heads=row["n_heads"],
                model=row["model"],
                method=row["method"],
                detected_on=row.get("detected_on", ""),
                share_at_least=row.get("share_at_least_0_1"),
            )
            for row in data["rankings"]
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserFacingError(
            f"The published rankings in {PUBLISHED_FILE.name} cannot be read.",
            f"Restore head_categories/published/{PUBLISHED_FILE.name} from HeadScope's repository.",
        ) from error


def _bare(model: str) -> str:
    """A model's name without the organisation, in small letters; "Meta-Llama" is "Llama"."""
    return model.rsplit("/", 1)[-1].casefold().removeprefix("meta-")


def for_model(model: str) -> tuple[PublishedRanking, ...]:
    """The published rankings of a model, named with or without its organisation; none for most models."""
    return tuple(ranking for ranking in published() if _bare(ranking.model) == _bare(model))


def published_as(name: str) -> tuple[PublishedRanking, ...]:
    """The published rankings that a name means: one by its own name, or all of a model."""
    own = tuple(ranking for ranking in published() if ranking.name.casefold() == name.casefold())
    return own or for_model(name)


def read_named(names: Sequence[str]) -> list[PublishedRanking]:
    """The rankings that a command line names: files, and names of published models or rankings.

    A file goes before a name. Rankings of one name are told apart by a number behind it.

    Raises:
        UserFacingError: one of them is neither, or a file holds no ranking.
    """
    found: list[PublishedRanking] = []
    for name in names:
        path = Path(name)
        if not path.is_file() and (known := published_as(name)):
            found += known
        elif path.exists() or path.suffix.lower() in (".json", ".yaml", ".yml"):
            found += read_rankings(path)
        else:
            models = ", ".join(dict.fromkeys(ranking.model for ranking in published()))
            raise UserFacingError(
                f"There is no file and no published model '{name[:80]}'.",
                f"Name a ranking file, or one of: {models}.",
            )
    return _distinguished(found)


def _distinguished(rankings: Iterable[PublishedRanking]) -> list[PublishedRanking]:
    seen: dict[str, int] = {}
    result = []
    for ranking in rankings:
        count = seen[ranking.name] = seen.get(ranking.name, 0) + 1
        name = ranking.name if count == 1 else f"{ranking.name} #{count}"
        result.append(PublishedRanking(**{**ranking.__dict__, "name": name}))
    return result


def read_rankings(path: Path) -> list[PublishedRanking]:
    """Read the rankings of a file: one, or all that a catalog holds.

    Raises:
        UserFacingError: it cannot be read or has none of the known shapes; the sentence names file and place.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
        if path.suffix.lower() in (".yaml", ".yml"):
            ranked = read_yaml(yaml.safe_load(text))
        else:
            ranked = read_json(json.loads(text, object_pairs_hook=_no_doubles))
    except OSError as error:
        why = "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
        raise UserFacingError(f"The ranking file {path} {why}.", "Check its name.") from error
    except UnicodeDecodeError as error:
        raise UserFacingError(f"{path} is not a text file in UTF-8.", REMEDY) from error
    except json.JSONDecodeError as error:
        raise UserFacingError(f"{path} is not JSON: line {error.lineno}: {error.msg}.", REMEDY) from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UserFacingError(f"{path} is not YAML: line {line}: {error.problem}.", REMEDY) from error
    # ValueError: a date such as 2024-13-45 in YAML; RecursionError: a thousand brackets.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserFacingError(f"{path} is neither JSON nor YAML that can be read.", REMEDY) from error
    except NotARankingError as error:
        raise UserFacingError(f"{path} holds no ranking of heads: {error}.", REMEDY) from error
    return [_from_file(path, one) for one in ranked]


def _from_file(path: Path, ranked: Ranked) -> PublishedRanking:
    model = ranked.model or (path.stem if published_as(path.stem) else "")
    shape = ranked.shape or next((known.shape for known in for_model(model)), None)
    # A model of another shape under a known name: what the file holds is what counts.
    if shape and any(layer >= shape[0] or head >= shape[1] for layer, head in ranked.heads):
        shape = None
    return PublishedRanking(
        name=ranked.label or path.stem,
        source=path.name,
        heads=ranked.heads,
        scores=ranked.scores,
        n_layers=shape[0] if shape else None,
        n_heads=shape[1] if shape else None,
        model=model,
        method=ranked.method,
        detected_on=ranked.detected_on,
    )


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Python would take the last of two equal keys without a word."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise NotARankingError(f"at {key}: it stands twice")
        found[key] = value
    return found
