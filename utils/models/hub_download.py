"""Models of the Hugging Face hub: from the cache of this machine where they are whole, else from the network.

A copy in the cache is used as it is: nothing asks whether the hub has a newer one, so that a model stays the
same from one lesson to the next, with or without a network. Only what is needed is fetched: the config,
safetensors and the tokenizer's files.
"""

import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from huggingface_hub import HfApi, hf_hub_download, snapshot_download
from huggingface_hub.errors import HfHubHTTPError

from utils.errors import UserFacingError
from utils.models.files import (
    CONFIG,
    INDEX,
    ONE_FILE,
    DamagedFileError,
    check_config,
    check_folder,
    read_config,
    shard_names,
)
from utils.models.hub_cache import Hub, cached, is_hub_name, of_other_size, snapshots
from utils.models.hub_errors import hub_error
from utils.models.hub_transfer import transfer
from utils.models.memory import size_text
from utils.runtime.jobs import Progress

logger = logging.getLogger(__name__)
# What these warn of on the console (a line a request, a line a try) becomes progress or a sentence here.
logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
logging.getLogger("httpx2").setLevel(logging.WARNING)

T = TypeVar("T")

# Chat templates of their own (chat_template.jinja) are not fetched: nothing here renders one.
SMALL_FILES = (
    CONFIG,
    INDEX,
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
)
_LIBRARY = "headscope"
# The hub's own service offers safetensors for older models in a pull request by this author.
_CONVERTER, _CONVERSION = "SFconvertbot", "safetensors"
# What must stay free on the disk after a download, in bytes.
_SPARE_DISK = 500 * 10**6
# Seconds until a hub that does not answer counts as out of reach.
_PATIENCE = 10
_SMALLER = "Choose a smaller model, or one that is already on this machine."

# What a model would need is checked between its small files and its weights: (folder, parameters).
Check = Callable[[Path, int], None]


def fetch(
    name: str,
    hub: Hub,
    progress: Progress = lambda what, done, total: None,
    check: Check = lambda folder, parameters: None,
) -> Path:
    """The folder of a model of the hub, fetched where the cache does not have it whole.

    Args:
        name: its name on the hub.
        hub: where from, where to.
        progress: called in this thread, in bytes while the weights come; what it raises ends the download
            and passes through.
        check: refuses a model by its config and its number of parameters before its weights are fetched.

    Raises:
        UserFacingError: it cannot be had, or should not.
    """
    if not is_hub_name(name):
        raise UserFacingError(
            f"'{name[:80]}' cannot be the name of a model on the hub.",
            "Names there look like gpt2 or EleutherAI/pythia-70m.",
        )
    progress("looking for the model", 0, 0)
    folder = cached(name, hub)
    if folder is None:
        folder = _Download(name, hub, progress).run(check)
        logger.info("fetched %s into %s", name, folder)
    return folder


def _has_safetensors(info: Any) -> bool:
    return any(file.rfilename in (ONE_FILE, INDEX) for file in info.siblings or [])


def _parameters(
    info: Any, config: Mapping[str, Any], weights: Sequence[str], sizes: Mapping[str, int]
) -> int:
    """How many numbers the weights have: by the hub's count, else by the size of the files."""
    total = getattr(info.safetensors, "total", None)
    if isinstance(total, int) and total > 0:
        return total
    half = str(config.get("dtype") or config.get("torch_dtype")) in ("float16", "bfloat16")
    return sum(sizes[file] for file in weights) // (2 if half else 4)


class _Download:
    """One download of one model."""

    def __init__(self, name: str, hub: Hub, progress: Progress) -> None:
        self._name = name
        self._hub = hub
        self._progress = progress
        self._api = HfApi(endpoint=hub.endpoint, library_name=_LIBRARY)

    def run(self, check: Check) -> Path:
        """Fetch the model; returns its folder.

        Raises:
            UserFacingError: it cannot be had.
        """
        revision, info = self._ask()
        sizes = {file.rfilename: file.size or 0 for file in info.siblings or []}
        folder = self._get(revision, {file: sizes[file] for file in SMALL_FILES if file in sizes})
        # What cannot be used is refused before gigabytes are fetched.
        config = read_config(self._name, folder)
        check_config(config, self._name)
        weights = [ONE_FILE] if ONE_FILE in sizes else list(shard_names(self._name, folder))
        for file in weights:
            if file not in sizes:
                raise self._incomplete_on_hub(file)
        check(folder, _parameters(info, config, weights, sizes))
        self._check_disk(sum(sizes[file] for file in weights if not (folder / file).is_file()))
        self._get(folder.name, {file: sizes[file] for file in weights})
        try:
            check_folder(self._name, folder)
        except DamagedFileError as error:
            # Of the right size, and yet damaged; or the hub does not have it either.
            if error.file not in sizes:
                raise self._incomplete_on_hub(error.file) from error
            self._get_again(folder.name, error.file, sizes[error.file])
            check_folder(self._name, folder)
        return folder

    def _ask(self) -> tuple[str, Any]:
        """The version to fetch, and what the hub says about it."""
        self._progress("asking the hub", 0, 0)
        revision, info = "main", self._info("main")
        if not _has_safetensors(info):
            revision = self._trying(self._converted) or ""
            info = self._info(revision) if revision else info
        if not _has_safetensors(info):
            raise UserFacingError(
                f"The model '{self._name}' has no weights in the safetensors format on the hub.",
                "Other formats can carry code and are not loaded. Choose another model.",
            )
        return revision, info

    def _info(self, revision: str) -> Any:
        return self._trying(
            lambda: self._api.model_info(
                self._name, revision=revision, files_metadata=True, timeout=_PATIENCE
            )
        )

    def _converted(self) -> str | None:
        """The version that the hub's own converter offers, None where there is none."""
        offers = self._api.get_repo_discussions(
            self._name, author=_CONVERTER, discussion_type="pull_request", discussion_status="open"
        )
        try:
            for offer in offers:
                if offer.author == _CONVERTER and _CONVERSION in offer.title.lower():
                    return f"refs/pr/{offer.num}"
        except HfHubHTTPError as error:
            # Some models have their discussions closed.
            logger.info("no list of conversions of %s: %s", self._name, error)
        return None

    def _get(self, revision: str, sizes: Mapping[str, int]) -> Path:
        """Fetch the files of these names and sizes, those excepted that are there; returns their folder."""

        def work(bar: type) -> str:
            return snapshot_download(
                self._name,
                revision=revision,
                cache_dir=self._hub.folder,
                endpoint=self._hub.endpoint,
                library_name=_LIBRARY,
                allow_patterns=list(sizes),
                max_workers=4,
                tqdm_class=bar,
            )

        folder = Path(self._transfer(work, f"downloading {self._name}", sum(sizes.values())))
        # A file that exists is believed to be whole, also where an earlier download was cut short.
        for file in of_other_size(folder, sizes):
            self._get_again(folder.name, file, sizes[file])
        return folder

    def _get_again(self, revision: str, file: str, size: int) -> None:
        """Fetch a file although there is one of its name."""

        def work(bar: type) -> str:
            return hf_hub_download(
                self._name,
                file,
                revision=revision,
                cache_dir=self._hub.folder,
                endpoint=self._hub.endpoint,
                library_name=_LIBRARY,
                force_download=True,
                tqdm_class=bar,
            )

        self._transfer(work, f"downloading {file} again", size)

    def _transfer(self, work: Callable[[type], str], what: str, total: int) -> str:
        # Errors become sentences within the transfer: what `progress` raises is none of them.
        return transfer(lambda bar: self._trying(lambda: work(bar)), what, total, self._progress)

    def _check_disk(self, size: int) -> None:
        position = self._hub.folder
        while not position.exists() and position != position.parent:
            position = position.parent
        free = shutil.disk_usage(position).free
        if size + _SPARE_DISK > free:
            raise UserFacingError(
                f"The model '{self._name}' is a download of {size_text(size)}, "
                f"and {size_text(free)} are free on the disk.",
                _SMALLER,
            )

    def _trying(self, ask: Callable[[], T]) -> T:
        """What `ask` returns; what the hub or the network raises becomes a sentence."""
        try:
            return ask()
        except UserFacingError:
            raise
        except Exception as error:
            raise hub_error(error, self._name, bool(snapshots(self._name, self._hub))) from error

    def _incomplete_on_hub(self, file: str) -> UserFacingError:
        return UserFacingError(
            f"The model '{self._name}' is incomplete on the hub: its file {file} is missing.",
            "Choose another model.",
        )
