"""The protocol's models as the study needs them before any is loaded: where, how many heads, what fits.

Everything that would stop a study in its second hour is found out here, in its first second.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from study.data.protocol import ModelEntry, Protocol
from utils.errors import UserFacingError
from utils.models.devices import check_device
from utils.models.families import HeadGeometry, head_geometry
from utils.models.files import check_folder
from utils.models.hub_cache import Hub
from utils.models.loading import LoadedModel
from utils.models.memory import read_model_config
from utils.models.sources import find_model, folder_of, load_source
from utils.runtime.jobs import Progress

# What a model's answers depend on, besides its weights.
_SMALL_FILES = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json")
_TEMPLATE = "chat_template.jinja"


@dataclass(frozen=True)
class ModelRef:
    """What a worker, perhaps on another machine, needs to load a model.

    Attributes:
        name: what it is called in results.
        where: a bundled model's name, a folder, or a name on the hub.
        device: where it runs.
        dtype: in which numbers.
    """

    name: str
    where: str
    device: str
    dtype: str


@dataclass(frozen=True)
class StudyModel:
    """A model of the study.

    Attributes:
        ref: how it is loaded.
        settings: lengths of its prompts, each with the filings that are read.
        geometry: its heads.
        digest: of its files: the same digest, the same model.
        tokenizer_digest: of its tokenizer alone; models that share it get the same filings.
        count_tokens: how many tokens a text has for it. One more is counted for a start token, whether the
            model has one or not, so that prompts do not differ by that.
    """

    ref: ModelRef
    settings: tuple[tuple[int, str], ...]
    geometry: HeadGeometry
    digest: str
    tokenizer_digest: str
    count_tokens: Callable[[str], int]

    @property
    def name(self) -> str:
        """What it is called in results."""
        return self.ref.name

    @property
    def total_heads(self) -> int:
        """Its heads."""
        return self.geometry.n_layers * self.geometry.n_heads


def study_models(protocol: Protocol, progress: Progress) -> list[StudyModel]:
    """The protocol's models; those of the hub are fetched where they are not here.

    Raises:
        UserFacingError: a model that cannot be had, a device that is not here, a length beyond a model's
            context, or a number of heads that is more than half of every model's.
    """
    models = [_study_model(entry, protocol.settings(entry), progress) for entry in protocol.models]
    most = max(model.total_heads for model in models)
    if (highest := max(protocol.ablation.k_levels, default=0)) > most // 2:
        raise UserFacingError(
            f"The protocol's k level {highest} is more than half of the heads of any model ({most} at most).",
            f"Use levels up to {most // 2}: a random control needs as many other heads.",
        )
    return models


def _study_model(entry: ModelEntry, settings: Sequence[tuple[int, str]], progress: Progress) -> StudyModel:
    check_device(entry.device, entry.dtype)
    folder = folder_of(find_model(entry.where), Hub(), progress, entry.device, entry.dtype)
    check_folder(entry.name, folder)
    config = read_model_config(entry.name, folder)
    context: int = config.max_position_embeddings
    if (longest := max((length for length, _ in settings), default=0)) > context:
        raise UserFacingError(
            f"The protocol asks for prompts of {longest} tokens, and {entry.name} reads at most {context}.",
            f"Give {entry.name} lengths up to {context}.",
        )
    tokenizer = _tokenizer(entry.name, folder)

    def count_tokens(text: str) -> int:
        return 1 + len(tokenizer.encode(text, add_special_tokens=False).ids)

    return StudyModel(
        ref=ModelRef(entry.name, entry.where, entry.device, entry.dtype),
        settings=tuple(settings),
        geometry=head_geometry(config),
        digest=_digest(folder),
        tokenizer_digest=_file_digest(folder / "tokenizer.json"),
        count_tokens=count_tokens,
    )


def _tokenizer(name: str, folder: Path) -> Tokenizer:
    try:
        return Tokenizer.from_file(str(folder / "tokenizer.json"))
    except BaseException as error:  # a panic in the Rust library does not derive from Exception
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        raise UserFacingError(
            f"The tokenizer of the model '{name}' cannot be read.",
            "Save it into the folder again with save_pretrained(), so that there is a whole tokenizer.json.",
        ) from None


def _digest(folder: Path) -> str:
    """Of all files that answers depend on, by name and content."""
    files = [folder / name for name in (*_SMALL_FILES, _TEMPLATE)]
    files += sorted(folder.glob("*.safetensors"))
    whole = hashlib.sha256()
    for path in files:
        if path.is_file():
            whole.update(f"{path.name} {_file_digest(path)}\n".encode())
    return whole.hexdigest()[:16]


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


_LOADED: dict[ModelRef, LoadedModel] = {}


def loaded_model(ref: ModelRef) -> LoadedModel:
    """The model, loaded; the last one is kept, since a worker's tasks come model by model.

    Raises:
        UserFacingError: it cannot be had, is broken, or does not fit into the memory.
    """
    if ref not in _LOADED:
        _LOADED.clear()
        loaded = load_source(find_model(ref.where), ref.device, ref.dtype)
        _LOADED[ref] = loaded
    return _LOADED[ref]
