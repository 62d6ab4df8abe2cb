"""The Hugging Face cache of this machine: which models of the hub are in it, and whether they are whole."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import constants, get_cached_repo_tree, try_to_load_from_cache
from huggingface_hub.errors import CachedRepoTreeNotFoundError, HFValidationError
from huggingface_hub.utils import validate_repo_id

from utils.errors import UserFacingError
from utils.models.files import CONFIG, DamagedFileError, check_config, check_folder, read_config


@dataclass(frozen=True)
class Hub:
    """Where models come from and where they are kept.

    Attributes:
        cache_dir: folder of the cache; None for the one of all Hugging Face tools (HF_HOME, HF_HUB_CACHE).
        endpoint: address of the hub; None for the usual one (HF_ENDPOINT).
    """

    cache_dir: Path | None = None
    endpoint: str | None = None

    @property
    def folder(self) -> Path:
        """The folder of the cache."""
        return self.cache_dir or Path(constants.HF_HUB_CACHE)


def is_hub_name(name: str) -> bool:
    """Whether a model of the hub could have this name: "gpt2", "EleutherAI/pythia-70m"."""
    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return True


def cached(name: str, hub: Hub) -> Path | None:
    """The folder of a model that is whole in the cache, None where it has to be fetched."""
    for folder in snapshots(name, hub):
        try:
            config = read_config(name, folder)
        except DamagedFileError:
            continue
        try:
            check_config(config, name)
        except UserFacingError:
            # No model for this app, whatever else is there: loading it will say why.
            return folder
        try:
            check_folder(name, folder)
        except UserFacingError:
            continue
        if not of_other_size(folder, _listed_sizes(name, folder, hub)):
            return folder
    return None


def snapshots(name: str, hub: Hub) -> list[Path]:
    """The folders of a model in the cache: of its main version, then of converted ones."""
    pulls = hub.folder / f"models--{name.replace('/', '--')}" / "refs" / "refs" / "pr"
    try:
        revisions = ["main", *(f"refs/pr/{path.name}" for path in sorted(pulls.iterdir()))]
    except OSError:
        revisions = ["main"]
    found: list[Path] = []
    for revision in revisions:
        try:
            config = try_to_load_from_cache(name, CONFIG, cache_dir=hub.folder, revision=revision)
        except (OSError, ValueError):
            continue
        if isinstance(config, str):
            found.append(Path(config).parent)
    return found


def _listed_sizes(name: str, folder: Path, hub: Hub) -> dict[str, int]:
    """What the cache's own list says about the files of a snapshot, empty where it has no such list."""
    try:
        tree = get_cached_repo_tree(name, revision=folder.name, cache_dir=hub.folder)
    except (CachedRepoTreeNotFoundError, OSError, ValueError):
        return {}
    return {file.path: file.size or 0 for file in tree}


def of_other_size(folder: Path, sizes: Mapping[str, int]) -> list[str]:
    """The files of a snapshot that have another size than they should; a size of 0 stands for unknown."""
    there = [file for file in sizes if (folder / file).is_file()]
    return [file for file in there if sizes[file] not in (0, (folder / file).stat().st_size)]
