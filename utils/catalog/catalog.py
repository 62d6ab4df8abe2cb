"""The catalog of a model's heads: its schema, and loading and saving one (head_categories/README.md).

One JSON a model in `head_categories/`, made by `scripts/analyze_heads.py`. The format is described in
head_categories/README.md. A catalog is data from outside like any other: it may be missing, damaged or
another model's, and each of these becomes one sentence.
"""

import shlex
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from utils.errors import UserFacingError
from utils.heads import Head
from utils.roles.registry import ROLES
from utils.runtime.files import write_json_atomic
from utils.runtime.validation import what_is_wrong

SCHEMA_VERSION = 2
# Scores are probabilities; more places than this only differ between machines.
DECIMALS = 6

Share = Annotated[float, Field(ge=0, le=1)]
Matrix = list[list[Share]]
# The catalog does not know the methods, whose registry stands above it: which there are is for whoever uses a
# ranking. A key stands in names of files and in links.
MethodKey = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]


def iso_date(text: str) -> str:
    """The text as it is; ValueError where it is no date in ISO form."""
    datetime.fromisoformat(text)
    return text


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class ListedHead(_Record):
    """A head in a role's list, layer and head from 0."""

    layer: int = Field(ge=0)
    head: int = Field(ge=0)
    score: Share


class Category(_Record):
    """What the catalog says about one role, texts included, so that the file can be read by itself."""

    display_name: str
    description: str
    explanation: str
    icon: str
    requires_repetition: bool
    suggested_prompts: list[str]
    top_heads: list[ListedHead]


class ProbeInput(_Record):
    """How many sequences one probe set had, and how many tokens the shortest and longest of them."""

    sequences: int = Field(ge=1)
    shortest: int = Field(ge=1)
    longest: int = Field(ge=1)


class OutputFactors(_Record):
    """What the scores of an output role are made of, each [layer][head].

    Attributes:
        mass: mean attention mass on the role's targets, whatever the head writes.
        effect: mean effect on the logits of those tokens, by attention; in logits.
    """

    mass: Matrix
    effect: list[list[float]]


class RoleThresholds(_Record):
    """From which score a head is listed, and from which it is added so that other layers are shown too."""

    threshold: Share
    lower_threshold: Share


class StartLoss(_Record):
    """How well the natural sentences are predicted with one candidate for the start token.

    Attributes:
        bos_id: its id; None for no start token.
        token: its text, "" for none.
        loss: nats a token.
    """

    bos_id: int | None
    token: str
    loss: float


class Settings(_Record):
    """Everything needed to make the catalog again."""

    seed: int
    sequences: int = Field(ge=1)
    device: str
    dtype: str = "float32"
    bos_id: int | None
    # The candidates, of which bos_id is the best, where neither family nor tokenizer says what goes first.
    start_losses: list[StartLoss] | None = None
    special_ids: list[int]
    # How many keys each layer sees (null for all); null where every layer sees all. Chance depends on it.
    windows: list[Annotated[int, Field(ge=1)] | None] | None = None
    inputs: dict[str, ProbeInput]
    # Of the inputs of output roles, how many count: those that the model gets right.
    counted: dict[str, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    thresholds: dict[str, RoleThresholds]
    versions: dict[str, str]
    # `model_files.weights_digest` of the weights; None in catalogs of before it was recorded.
    weights_sha256: str | None = None


class Catalog(_Record):
    """One model's catalog.

    Attributes:
        categories: by role key. A head may stand in several.
        all_scores: every head's score, [layer][head], for each role that has one ('other' has none).
        all_scores_std: its standard deviation over the probe's sequences, in the same shape.
        probe_scores: where a role is measured on several probe sets, the mean on each; `all_scores` has the
            larger or the smaller of them, head by head (`HeadRole.combine`).
        output_factors: of each output role what its scores are made of.
        rankings: retrieval rankings by method (a key of `retrieval.rankings.methods.METHODS`), a record
            (`ranking_record.RankingRecord`) a question and length; empty until they are made. Their fields
            are looked at where they are used, and by `catalog.check`: a ranking that cannot be read takes no
            role away from the page.
    """

    schema_version: int
    model_name: str
    num_layers: int = Field(ge=1)
    num_heads: int = Field(ge=1)
    analysis_date: Annotated[str, AfterValidator(iso_date)]
    settings: Settings
    categories: dict[str, Category]
    all_scores: dict[str, Matrix]
    all_scores_std: dict[str, Matrix]
    probe_scores: dict[str, dict[str, Matrix]]
    output_factors: dict[str, OutputFactors] = Field(default_factory=dict)
    rankings: dict[MethodKey, list[dict[str, JsonValue]]]

    @property
    def sink_share(self) -> Matrix | None:
        """Each head's mean attention on the first token on the natural sentences: its rest, no role.

        None where the catalog has no first-token role to take it from.
        """
        return self.probe_scores.get("positional", {}).get("natural")

    @cached_property
    def carrying_heads(self) -> Mapping[str, Sequence[tuple[Head, float]]]:
        """Each measured role's heads with their catalog scores, best first: all that reach its threshold.

        The lists (`top_heads`) have room for a few of them, and may hold one of another layer below it.
        """
        return {
            role: sorted(
                (
                    (Head(layer, head), score)
                    for layer, row in enumerate(table)
                    for head, score in enumerate(row)
                    if score >= self.settings.thresholds[role].threshold
                ),
                key=lambda entry: (-entry[1], entry[0]),
            )
            for role, table in self.all_scores.items()
        }

    @cached_property
    def listed_heads(self) -> Mapping[str, Sequence[tuple[Head, float]]]:
        """Each role's listed heads with their catalog scores, in the catalog's order."""
        return {
            role: [(Head(entry.layer, entry.head), entry.score) for entry in category.top_heads]
            for role, category in self.categories.items()
        }

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """As pydantic's, which would hand on what was worked out of the fields before they changed."""
        copy = super().model_copy(update=update, deep=deep)
        for name in vars(copy).keys() - type(self).model_fields:
            del vars(copy)[name]
        return copy

    @model_validator(mode="before")
    @classmethod
    def _version_is_known(cls, data: Any) -> Any:
        # First of all: what else differs in a catalog of another version is no damage.
        version = data.get("schema_version") if isinstance(data, dict) else None
        if isinstance(version, int) and version != SCHEMA_VERSION:
            raise ValueError(
                f"it is of version {version}, and this HeadScope reads version {SCHEMA_VERSION}, in which "
                "roles are measured otherwise"
            )
        return data

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        if unknown := sorted(set(self.categories) - set(ROLES)):
            raise ValueError(f"categories must be among {', '.join(ROLES)}. Got {unknown[0]!r}.")
        measured = {role for role in self.categories if ROLES[role].measured}
        if set(self.all_scores) != measured or set(self.all_scores_std) != measured:
            raise ValueError("all_scores and all_scores_std must hold just the measured roles of categories.")
        tables: list[tuple[str, Matrix]] = [*self.all_scores.items(), *self.all_scores_std.items()]
        tables += [
            (role, table)
            for role, factors in self.output_factors.items()
            for table in (factors.mass, factors.effect)
        ]
        tables += [(role, table) for role, probes in self.probe_scores.items() for table in probes.values()]
        for role, table in tables:
            if len(table) != self.num_layers or any(len(row) != self.num_heads for row in table):
                shape = f"({self.num_layers}, {self.num_heads})"
                raise ValueError(f"the scores of {role} must have shape (layer, head)={shape}.")
        if self.settings.windows is not None and len(self.settings.windows) != self.num_layers:
            raise ValueError(f"settings.windows must have one entry a layer, {self.num_layers}.")
        for role, category in self.categories.items():
            for entry in category.top_heads:
                if entry.layer >= self.num_layers or entry.head >= self.num_heads:
                    raise ValueError(
                        f"{role} lists L{entry.layer}H{entry.head}, which is no head of the model."
                    )
        return self


def catalog_path(model_name: str, folder: Path) -> Path:
    """Where the catalog of a model is kept: `--` stands for `/` in its name."""
    return folder / f"{model_name.replace('/', '--')}.json"


def catalog_names(folder: Path) -> list[str]:
    """The names of the models that have a catalog file in `folder`, sorted; the files may be damaged."""
    return sorted(path.stem.replace("--", "/") for path in folder.glob("*.json"))


def analyzer_command(model_name: str) -> str:
    """The line that makes a model's catalog, as a shell takes it.

    >>> analyzer_command("v2 (copy)")
    "python scripts/analyze_heads.py --model 'v2 (copy)'"
    """
    return f"python scripts/analyze_heads.py --model {shlex.quote(model_name)}"


def _make_it_again(model_name: str) -> str:
    return f"Make it with: {analyzer_command(model_name)}"


def load_catalog(path: Path) -> Catalog:
    """Read and check the catalog of the model that the file is named after.

    Raises:
        UserFacingError: as `read_catalog`, or the file holds the catalog of another model.
    """
    catalog = read_catalog(path)
    if catalog_path(catalog.model_name, path.parent).name != path.name:
        model_name = path.stem.replace("--", "/")
        raise UserFacingError(
            f"The catalog {path.name} is of another model, {catalog.model_name}.", _make_it_again(model_name)
        )
    return catalog


def read_catalog(path: Path) -> Catalog:
    """Read one catalog, of whatever model it is.

    Raises:
        UserFacingError: the file is missing, cannot be read, or does not hold a catalog of this version.
    """
    model_name = path.stem.replace("--", "/")
    try:
        with path.open("rb") as opened:
            content = opened.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise UserFacingError(
            f"There is no catalog of the heads of {model_name}.", _make_it_again(model_name)
        ) from None
    except OSError as error:
        raise UserFacingError(
            f"The catalog {path.name} cannot be read ({error.strerror or type(error).__name__}).",
            "Check the file's permissions.",
        ) from error
    if len(content) > MAX_BYTES:
        raise UserFacingError(
            f"The catalog {path.name} is too large: at most {MAX_BYTES // 2**20} MB are read.",
            _make_it_again(model_name),
        )
    try:
        return Catalog.model_validate_json(content)
    except ValidationError as error:
        raise UserFacingError(
            f"The catalog {path.name} is damaged ({what_is_wrong(error)}).",
            _make_it_again(model_name),
        ) from error


def check_fit(
    catalog: Catalog, n_layers: int, n_heads: int, weights: Callable[[], str] | None = None
) -> None:
    """Refuse a catalog that is not of this model.

    Args:
        catalog: the catalog, by `load_catalog`, which looks at the model's name.
        n_layers: layers of the model.
        n_heads: query heads of each.
        weights: gives `model_files.weights_digest` of the model, which is asked for only where the catalog
            records one; None where the weights are not known.

    Raises:
        UserFacingError: other layers, heads or weights.
    """
    if (catalog.num_layers, catalog.num_heads) != (n_layers, n_heads):
        raise UserFacingError(
            f"The catalog of {catalog.model_name} is for {catalog.num_layers} layers x {catalog.num_heads} "
            f"heads, this model has {n_layers} x {n_heads}.",
            _make_it_again(catalog.model_name),
        )
    recorded = catalog.settings.weights_sha256
    if recorded is not None and weights is not None and weights() != recorded:
        raise UserFacingError(
            f"The catalog of {catalog.model_name} was made with other weights than this model has.",
            _make_it_again(catalog.model_name),
        )


def merge_existing(catalog: Catalog, folder: Path) -> tuple[Catalog, str]:
    """The catalog to save where `folder` may hold an earlier one of the same model.

    Where nothing but the dates differs, the earlier one stands: analyzing a model again then leaves its file
    as it is, to the last byte. Its rankings stand too where no new ones were made; those of heads that score
    otherwise now are dropped.

    Returns:
        The catalog, and a sentence where something of the earlier one is lost ("" where nothing is).
    """
    try:
        earlier = load_catalog(catalog_path(catalog.model_name, folder))
    except UserFacingError:
        return catalog, ""  # none, or one that is of no use
    if earlier.settings.weights_sha256 is None:
        # Made before the weights were recorded: the scores tell whether it is the same model.
        weights = {"weights_sha256": catalog.settings.weights_sha256}
        earlier = earlier.model_copy(update={"settings": earlier.settings.model_copy(update=weights)})
    ranked = any(catalog.rankings.values())
    same = not ranked or _without_dates(catalog.rankings) == _without_dates(earlier.rankings)
    cached = {"analysis_date": earlier.analysis_date, "rankings": earlier.rankings}
    if same and catalog.model_copy(update=cached) == earlier:
        return earlier, ""
    if not ranked and _scores_stand(catalog, earlier):
        # A role has come, or its texts are others: that says nothing against the rankings.
        return catalog.model_copy(update={"rankings": earlier.rankings}), ""
    lost = any(earlier.rankings.values()) and not ranked
    note = "the heads score otherwise than before: their rankings are dropped (--rankings makes new ones)"
    return catalog, note if lost else ""


def _scores_stand(catalog: Catalog, earlier: Catalog) -> bool:
    """Whether the same model's heads score as before, for each role that was measured before."""
    return (
        catalog.settings.weights_sha256 == earlier.settings.weights_sha256
        and catalog.settings.bos_id == earlier.settings.bos_id
        and all(catalog.all_scores.get(role) == table for role, table in earlier.all_scores.items())
    )


def _without_dates(rankings: dict[str, list[dict[str, JsonValue]]]) -> dict[str, list[dict[str, JsonValue]]]:
    return {
        method: [{key: value for key, value in record.items() if key != "timestamp"} for record in records]
        for method, records in rankings.items()
    }


def save_catalog(catalog: Catalog, folder: Path) -> Path:
    """Write a catalog into `folder` (made where it is missing), whole or not at all; returns its path.

    Raises:
        OSError: the folder cannot be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = catalog_path(catalog.model_name, folder)
    data: dict[str, Any] = catalog.model_dump(mode="json")
    write_json_atomic(path, data)
    return path


# A catalog of 80 layers of 64 heads with all rankings has some 8 MB.
MAX_BYTES = 16 * 2**20
CATALOG_FOLDER = Path(__file__).resolve().parents[2] / "head_categories"
