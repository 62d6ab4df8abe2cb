"""The study's protocol: a TOML file that fixes everything before the first number is seen.

`study/protocol.toml` is the one of the bundled models and explains every value. A protocol is data from
outside: what is wrong with it becomes one sentence that names the key and what is allowed there.
"""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from retrieval.filings.generated import TASKS
from retrieval.rankings.methods import METHODS
from utils.effects.random_sets import MAX_DRAWS
from utils.errors import UserFacingError

DEFAULT_PROTOCOL = Path(__file__).resolve().parents[1] / "protocol.toml"
# docs/METHODS.md, section 4, asks for so many draws of a random control at the least.
MIN_DRAWS = 5

Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(gt=0, le=1)]
TestedName = Literal["within", "across", "shared", "global", "across_data"]
ControlName = Literal["random_uniform", "random_layer_matched"]
DataName = Literal["generated", "real"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)


class ModelEntry(_Part):
    """One model of the study.

    Attributes:
        name: a bundled model's name, or a name on the hub; with `path`, the name it goes by.
        path: the folder of a model.
        lengths: tokens of its prompts; it is studied at each.
        device: where it runs.
        dtype: in which numbers.
    """

    name: str = Field(min_length=1, max_length=150)
    path: str | None = None
    lengths: list[Positive] = Field(min_length=1)
    device: str = "cpu"
    dtype: str = "float32"

    @property
    def where(self) -> str:
        """What finds the model."""
        return self.path or self.name


class DataPart(_Part):
    """Where the filings come from, and how many.

    Attributes:
        source: "generated", or "real" for filings of a ground-truth table.
        samples: filings a question, both splits together.
        train_share: the share that heads are ranked on.
        truth: the ground-truth CSV of real filings.
        texts: their texts: a folder, a JSONL file, or the name of a data set on the hub.
        window: of real filings, whether the prompt holds what stands around the needle, at a depth that is
            drawn, instead of the section's head.
    """

    source: Literal["generated", "real"] = "generated"
    samples: Positive = 125
    train_share: Annotated[float, Field(gt=0, lt=1)] = 0.8
    truth: str | None = None
    texts: str | None = None
    window: bool = False

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.source == "real") != (self.truth is not None and self.texts is not None):
            raise ValueError("real filings, and no others, need both 'truth' and 'texts'")
        return self


class RealPart(_Part):
    """Real filings beside generated ones: heads are ranked on either and tried on both.

    Attributes:
        folder: holds truth.csv and texts.jsonl; from the repository's root where it is not absolute.
        lengths: tokens of the prompts, windows around the needle.
        samples: at most so many filings a question.
        train_share: the share that heads are ranked on; a company's filings are on one side.
    """

    folder: str = "../shared/filings"
    lengths: list[Positive] = Field(min_length=1)
    samples: Positive = 1000
    train_share: Annotated[float, Field(gt=0, lt=1)] = 0.5


class RankingPart(_Part):
    """Options of the ranking methods (docs/METHODS.md, section 3), as `RankingOptions`."""

    span: Literal["needle", "section", "answer"] = "needle"
    query_span: Literal["text", "line"] = "text"
    calibrate: bool = True
    remove_outliers: bool = True
    wu24_rule: Literal["distinct", "count"] = "distinct"
    reasoning_rule: Literal["normalised", "published"] = "normalised"
    rouge_threshold: Annotated[float, Field(ge=0, lt=100)] = 50.0
    new_tokens: Positive = 24


class AblationPart(_Part):
    """What is ablated (docs/METHODS.md, section 4).

    Attributes:
        mode: what is put in a head's place.
        k_levels: how many heads; the number that is the claim's share of the heads is always added.
        other_levels: the same for heads of other questions, of other data, shared and global heads; None for
            k_levels.
        control_levels: at which of k_levels random sets are run, for the claim's method; None for all.
        other_control_levels: the same for the other methods; None for control_levels.
        single_samples: on how many of the test samples each head is ablated by itself; None for all.
        draws: random sets a control.
        shared_min_tasks: in the top of how many ranking tasks a shared head is.
        shared_top_share: how large that top is, as a share of all heads.
        controls_at_every_k: the tested conditions whose random controls are run at every k.
        controls_at_claim: those whose controls are run at the claim's k only, for the claim's method.
        other_controls_at_claim: the same for the other methods.
        new_tokens: the longest answer; it is cut at the end of its first sentence.
        batch_tokens: at most so many tokens of prompts go through the model at once; a bound on memory.
    """

    mode: Literal["zero", "mean"] = "zero"
    k_levels: list[Annotated[int, Field(ge=0)]]
    draws: Annotated[int, Field(ge=MIN_DRAWS, le=MAX_DRAWS)] = MIN_DRAWS
    shared_min_tasks: Positive = 7
    shared_top_share: Annotated[float, Field(gt=0, le=0.5)] = 0.25
    controls_at_every_k: list[TestedName] = ["within"]
    controls_at_claim: list[TestedName] = []
    other_controls_at_claim: list[TestedName] = []
    other_levels: list[Positive] | None = None
    control_levels: list[Positive] | None = None
    other_control_levels: list[Positive] | None = None
    single_samples: Annotated[int, Field(ge=0)] | None = None
    new_tokens: Positive = 24
    batch_tokens: Positive = 4096


class AtPart(_Part):
    """What is otherwise in one setting; what is not given is as for all.

    Attributes:
        length: tokens of a prompt.
        data: the filings.
        samples: as in `DataPart`.
        train_share: as in `DataPart`.
        k_levels: as in `AblationPart`, and so the others.
    """

    length: Positive
    data: DataName = "generated"
    samples: Positive | None = None
    train_share: Annotated[float, Field(gt=0, lt=1)] | None = None
    k_levels: list[Annotated[int, Field(ge=0)]] | None = None
    other_levels: list[Positive] | None = None
    control_levels: list[Positive] | None = None
    other_control_levels: list[Positive] | None = None
    controls_at_claim: list[TestedName] | None = None
    other_controls_at_claim: list[TestedName] | None = None
    single_samples: Annotated[int, Field(ge=0)] | None = None


class ClaimPart(_Part):
    """What the study claims before it is run.

    Attributes:
        model: of one of the models
        method: and one of the methods,
        length: at this length,
        share: switching off the top of this share of the heads
        control: lowers accuracy more than such random sets do,
        questions: for at least so many of the questions,
        same_layers: where at least this share of the random heads is of the layers of the tested ones.
    """

    model: str
    method: str
    length: Positive
    share: Annotated[float, Field(gt=0, le=0.5)] = 0.25
    control: ControlName = "random_layer_matched"
    questions: Positive = 3
    same_layers: Annotated[float, Field(ge=0, le=1)] = 0.0


class Protocol(_Part):
    """A whole protocol; see study/protocol.toml.

    Attributes:
        seed: of filings, split, random sets and resampling.
        models: the models.
        methods: ranking methods.
        questions: tasks that are asked under ablation; each one's heads are tried on all of them.
        ranking_questions: tasks that heads are ranked on; the questions are among them.
        stem: whether the model's answer begins with the task's stem (docs/METHODS.md, section 8).
        data: the filings.
        real: real filings beside them; None for none.
        at: what is otherwise at a length.
        ranking: options of the methods.
        ablation: what is ablated.
        resamples: of every bootstrap.
        claim: what is claimed beforehand; None for no claim.
    """

    seed: Annotated[int, Field(ge=0)] = 42
    models: list[ModelEntry] = Field(min_length=1)
    methods: list[str] = Field(min_length=1)
    questions: list[str] = Field(min_length=1)
    ranking_questions: list[str] = Field(min_length=1)
    stem: bool = True
    data: DataPart = DataPart()
    real: RealPart | None = None
    at: list[AtPart] = []
    ranking: RankingPart = RankingPart()
    ablation: AblationPart
    resamples: Annotated[int, Field(ge=100)] = 10_000
    claim: ClaimPart | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        _each_known("methods", "method", self.methods, tuple(METHODS))
        _each_known("ranking_questions", "task", self.ranking_questions, tuple(TASKS))
        _each_known("questions", "task of ranking_questions", self.questions, self.ranking_questions)
        names = [model.name for model in self.models]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"the model '{twice[0]}' stands twice in models")
        if self.ablation.shared_min_tasks > len(self.ranking_questions):
            raise ValueError(
                f"ablation.shared_min_tasks is {self.ablation.shared_min_tasks}, and there are only "
                f"{len(self.ranking_questions)} ranking_questions"
            )
        if self.claim is not None:
            self._check_claim(self.claim)
        known = {(length, data) for model in self.models for length, data in self.settings(model)}
        for part in self.at:
            if (part.length, part.data) not in known:
                what = f"{part.length} tokens of {part.data} filings"
                raise ValueError(f"at names {what}, which no model reads")
        return self

    def settings(self, model: ModelEntry) -> list[tuple[int, str]]:
        """A model's lengths with the filings that are read at each, in the order in which they are run."""
        found: set[tuple[int, str]] = {(length, self.data.source) for length in model.lengths}
        if self.real is not None:
            found |= {(length, "real") for length in self.real.lengths}
        return sorted(found)

    def tasks(self, data: str) -> list[str]:
        """The tasks that heads are ranked on: real filings beside generated ones tell those asked about."""
        return self.questions if data != self.data.source else self.ranking_questions

    def data_at(self, length: int, data: str) -> DataPart:
        """The filings of a setting."""
        part = self.data
        if data != part.source:
            assert self.real is not None
            part = DataPart(
                source="real",
                samples=self.real.samples,
                train_share=self.real.train_share,
                truth=f"{self.real.folder}/truth.csv",
                texts=f"{self.real.folder}/texts.jsonl",
                window=True,
            )
        changes = self._changes(length, data)
        return part.model_copy(update={k: v for k, v in changes.items() if k in ("samples", "train_share")})

    def ablation_at(self, length: int, data: str) -> AblationPart:
        """What is ablated in a setting."""
        changes = self._changes(length, data)
        known = AblationPart.model_fields
        return self.ablation.model_copy(update={k: v for k, v in changes.items() if k in known})

    def _changes(self, length: int, data: str) -> dict[str, Any]:
        for part in self.at:
            if (part.length, part.data) == (length, data):
                return part.model_dump(exclude_none=True)
        return {}

    def _check_claim(self, claim: ClaimPart) -> None:
        _each_known("claim.model", "model of the protocol", [claim.model], [m.name for m in self.models])
        _each_known("claim.method", "method of the protocol", [claim.method], self.methods)
        lengths = next(model.lengths for model in self.models if model.name == claim.model)
        if claim.length not in lengths:
            raise ValueError(f"claim.length is {claim.length}, but {claim.model} has the lengths {lengths}")
        if claim.questions > len(self.questions):
            raise ValueError(
                f"claim.questions is {claim.questions}, and there are {len(self.questions)} questions"
            )

    def levels(self, total_heads: int, asked: Sequence[int] | None = None) -> list[int]:
        """The numbers of heads to switch off in a model of so many heads: from 1, at most half of them.

        Args:
            total_heads: heads of the model.
            asked: the levels wanted, by default `ablation.k_levels`; the claim's is always added.
        """
        wanted = set(self.ablation.k_levels if asked is None else asked) | {self.claim_k(total_heads)}
        return sorted(k for k in wanted if 1 <= k <= total_heads // 2)

    def claim_k(self, total_heads: int) -> int:
        """How many heads the claim's share is; a quarter of them where nothing is claimed."""
        return max(1, round((self.claim.share if self.claim else 0.25) * total_heads))


def load_protocol(path: Path = DEFAULT_PROTOCOL) -> Protocol:
    """Read a protocol.

    Raises:
        UserFacingError: it is not there, is no TOML, or something in it is not as it should be.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserFacingError(
            f"There is no protocol {path}.", f"Start from a copy of {DEFAULT_PROTOCOL.name}."
        ) from None
    except OSError as error:
        raise UserFacingError(
            f"The protocol {path} cannot be read ({error.strerror or type(error).__name__}).",
            "Check the file's permissions.",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserFacingError(
            f"The protocol {path} is not TOML ({error}).", f"Compare it with {DEFAULT_PROTOCOL.name}."
        ) from error
    return parse_protocol(data, path.name)


def parse_protocol(data: Any, name: str = "protocol") -> Protocol:
    """A protocol from TOML's data; `name` is what errors call it.

    Raises:
        UserFacingError: something in it is not as it should be.
    """
    try:
        return Protocol.model_validate(data)
    except ValidationError as error:
        raise _explained(error, name) from error


def restricted(
    protocol: Protocol,
    *,
    models: Sequence[str] = (),
    max_samples: int | None = None,
    lengths: Sequence[int] = (),
    filings: str | None = None,
    claim_only: bool = False,
    device: str | None = None,
    dtype: str | None = None,
) -> Protocol:
    """The protocol with what a command line changes.

    A claim about a model that is left out is left out too.

    Args:
        protocol: the protocol.
        models: the names of the models to keep; none for all.
        max_samples: at most so many filings a question.
        lengths: the lengths to keep; none for all.
        filings: the folder of real filings.
        claim_only: keep only what the claim needs: its model, its length, the questions that are asked.
        device: where all models run.
        dtype: in which numbers.

    Raises:
        UserFacingError: a model that the protocol does not have, or fewer samples than both splits need.
    """
    if claim_only:
        if protocol.claim is None:
            raise UserFacingError("The protocol claims nothing.", "Run it without --claim-only.")
        models, lengths = [protocol.claim.model], [protocol.claim.length]
        protocol = protocol.model_copy(update={"real": None, "ranking_questions": protocol.questions})
    known = [model.name for model in protocol.models]
    for name in models:
        if name not in known:
            raise UserFacingError(
                f"There is no model '{name[:80]}' in the protocol.", f"Choose among: {', '.join(known)}."
            )
    if max_samples is not None and max_samples < 2:
        raise UserFacingError(
            f"{max_samples} samples a question cannot be split.", "Use --max-samples 2 or more."
        )
    every = {length for model in protocol.models for length, _ in protocol.settings(model)}
    if unknown := [length for length in lengths if length not in every]:
        raise UserFacingError(
            f"The protocol has no prompts of {unknown[0]} tokens.",
            f"Choose among: {', '.join(map(str, sorted(every)))}.",
        )
    entries = []
    for model in protocol.models:
        if not models or model.name in models:
            run: dict[str, Any] = {"device": device or model.device, "dtype": dtype or model.dtype}
            if lengths:
                run["lengths"] = [length for length in model.lengths if length in lengths]
            entries.append(model.model_copy(update=run))
    real = protocol.real
    if real is not None:
        kept = [length for length in real.lengths if not lengths or length in lengths]
        changed = real.model_copy(update={"lengths": kept, "folder": filings or real.folder})
        real = changed if kept else None
    count = protocol.data.samples if max_samples is None else min(protocol.data.samples, max_samples)
    claim = protocol.claim if protocol.claim and protocol.claim.model in [e.name for e in entries] else None
    data = protocol.data.model_copy(update={"samples": count})
    at = protocol.at
    if max_samples is not None:
        at = [p.model_copy(update={"samples": min(p.samples or count, max_samples)}) for p in at]
        if real is not None:
            real = real.model_copy(update={"samples": min(real.samples, max_samples)})
    return protocol.model_copy(
        update={"models": entries, "data": data, "claim": claim, "real": real, "at": at}
    )


def _each_known(key: str, what: str, values: Sequence[str], known: Sequence[str]) -> None:
    for value in values:
        if value not in known:
            raise ValueError(f"{key} names '{value[:80]}', which is no {what} ({', '.join(known)})")
    if len(set(values)) < len(values):
        raise ValueError(f"{key} names something twice")


def _explained(error: ValidationError, name: str) -> UserFacingError:
    """One sentence about the first thing that is wrong."""
    errors = error.errors(include_url=False)
    # A mistyped key is unknown under its new name and missing under the old: the first tells more.
    first = next((one for one in errors if one["type"] == "extra_forbidden"), errors[0])
    path = [part for part in first["loc"]]
    position = ".".join(str(part) for part in path)
    if first["type"] == "extra_forbidden":
        known = _fields_at(path[:-1])
        return UserFacingError(
            f"The protocol {name} has an unknown key '{position}'.", f"Known there: {', '.join(known)}."
        )
    if first["type"] == "missing":
        return UserFacingError(f"The protocol {name} lacks '{position}'.", f"See {DEFAULT_PROTOCOL.name}.")
    said = " ".join(first["msg"].removeprefix("Value error, ").rstrip(".").split())
    got = "" if first["type"] == "value_error" else f", got {str(first['input'])[:80]!r}"
    return UserFacingError(
        f"The protocol {name} is wrong{f' at {position}' if position else ''}: {said}{got}.",
        f"{DEFAULT_PROTOCOL.name} explains every value.",
    )


def _fields_at(path: Sequence[str | int]) -> list[str]:
    """The keys that the protocol knows at a place in it."""
    part: Any = Protocol
    for step in path:
        if isinstance(step, int):
            continue
        kind = part.model_fields[step].annotation
        # list[Model], Model | None: the model in it.
        part = next((inner for inner in get_args(kind) if isinstance(inner, type)), kind)
    return list(part.model_fields)
