"""Measure every head of a model for every role, and write its catalog.

python scripts/analyze_heads.py --model demo-gpt2 --model demo-llama
python scripts/analyze_heads.py --model demo-gpt2 --rankings
python scripts/analyze_heads.py --model smollm2-135m-instruct --rankings-from study/results/rankings
python scripts/analyze_heads.py --model path/to/a/model/folder --output catalogs/
python scripts/analyze_heads.py --model demo-gpt2 --compare-detect-head
python scripts/analyze_heads.py --check

The path of each catalog goes to stdout; progress, notes and errors (a line each) go to stderr. Exit status: 0
when all was done and found right, 1 when something was not, 2 for a wrong option, 130 when stopped with
Ctrl+C. The same model, seed and number of sequences give the same file; its date is that of SOURCE_DATE_EPOCH
where that is set.
"""

import argparse
import contextlib
import gc
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.analyzer_options import OUTPUT, build_parser, check_arguments
from utils.runtime.command_line import explained_memory

INTERRUPTED = 130

# The modules of the project are imported where they are used: they bring torch and TransformerLens along, and
# a wrong option or --help should not wait for those.

if TYPE_CHECKING:
    from utils.errors import UserFacingError
    from utils.models.loading import LoadedModel
    from utils.models.sources import ModelSource
    from utils.runtime.jobs import Progress
    from utils.runtime.progress_lines import ProgressLines


def _load(source: "ModelSource", arguments: argparse.Namespace, lines: "Progress") -> "LoadedModel":
    """Load a model, of the hub after fetching it, for this work alone: the bridge will change it."""
    from utils.models.sources import load_source

    name = arguments.name or source.name
    if source.folder is not None:
        source = replace(source, name=name)
    loaded = load_source(source, arguments.device, arguments.dtype, lines)
    return replace(loaded, name=name)


class _Rankings:
    """The rankings of one model, where they were asked for."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._options = None
        self.pieces = 0
        if arguments.rankings:
            from retrieval.rankings.for_catalog import CatalogRankingOptions, samples_in_all

            self._options = CatalogRankingOptions(
                arguments.ranking_samples, arguments.ranking_length, arguments.seed
            )
            self.pieces = samples_in_all(self._options)

    def make(self, loaded: "LoadedModel", progress: "Progress") -> dict[str, Any] | None:
        if self._options is None:
            return None
        from retrieval.rankings.for_catalog import rank_for_catalog

        return rank_for_catalog(loaded, self._options, progress)


def _analyze(source: "ModelSource", arguments: argparse.Namespace, lines: "ProgressLines") -> None:
    """Make and write the catalog of one model."""
    from retrieval.rankings.for_catalog import empty_rankings
    from retrieval.rankings.methods import METHODS
    from utils.analyzer.catalog_building import AnalysisOptions, analyze, pieces_in_all
    from utils.analyzer.measuring_outputs import read_outputs
    from utils.catalog.catalog import merge_existing, save_catalog
    from utils.runtime.files import defer_signals

    options = AnalysisOptions(arguments.seed, arguments.sequences, arguments.device, arguments.dtype)
    ranked = _Rankings(arguments)
    pieces = ranked.pieces + pieces_in_all(options)

    def loading(what: str, done: int, total: int) -> None:
        # For a program it is the first stage of one count; a person sees how far the loading is.
        lines(what, *((0, pieces) if arguments.progress_json else (done, total)))

    loaded = _load(source, arguments, loading)
    loading("starting the analysis", 0, 0)
    from utils.analyzer.bridge_patterns import BridgePatterns

    if ranked.pieces:
        # A model that TransformerLens reads otherwise is refused before its heads are ranked. The bridge
        # changes the model, so that it is loaded again.
        BridgePatterns(loaded)
        del loaded
        gc.collect()
        loaded = _load(source, arguments, loading)
    from utils.analyzer.start_losses import choose_start

    loaded, start_losses = choose_start(loaded)
    # Before the bridge that stays.
    rankings = ranked.make(loaded, lambda what, done, total: lines(what, done, pieces))
    # What heads write is read off the live forward, before the bridge changes the model.
    outputs = read_outputs(
        loaded,
        options.seed,
        options.sequences,
        lambda what, done, total: lines(what, ranked.pieces + done, pieces),
    )
    analysis = analyze(
        loaded,
        BridgePatterns(loaded).patterns,
        options,
        lambda what, done, total: lines(what, ranked.pieces + done, pieces),
        start_losses,
        outputs,
    )
    rankings = rankings or {method: [] for method in METHODS}
    made = analysis.catalog.model_copy(update={"rankings": rankings})
    catalog, lost = merge_existing(made, arguments.output)
    with defer_signals():
        path = save_catalog(catalog, arguments.output)
    lines.close()
    for note in [*analysis.notes, *empty_rankings(rankings), *filter(None, [lost])]:
        sys.stderr.write(f"{loaded.name}: {note}\n")
    listed = ", ".join(f"{role} {len(category.top_heads)}" for role, category in catalog.categories.items())
    sys.stderr.write(f"{loaded.name}: heads listed: {listed}\n")
    lines.finish(str(path))


def _take_rankings(source: "ModelSource", arguments: argparse.Namespace, lines: "ProgressLines") -> None:
    """Put finished rankings of the study into the catalog that the folder has; the rest of it stays."""
    from retrieval.rankings.for_catalog import finished_rankings
    from utils.catalog.catalog import catalog_path, load_catalog, save_catalog
    from utils.runtime.files import defer_signals

    name = arguments.name or source.name
    catalog = load_catalog(catalog_path(name, arguments.output))
    rankings = finished_rankings(arguments.rankings_from, name, arguments.ranking_length)
    with defer_signals():
        path = save_catalog(catalog.model_copy(update={"rankings": rankings}), arguments.output)
    lines.close()
    lines.finish(str(path))


@contextlib.contextmanager
def _explained(model: str, output: Path) -> Iterator[None]:
    """Turn what the machine refuses into an error that says what to do.

    Raises:
        UserFacingError: too little memory, or a file that cannot be read or written.
    """
    try:
        with explained_memory(model):
            yield
    except BrokenPipeError:
        raise  # nobody reads the progress any more, so there is nobody to explain to
    except OSError as error:
        raise _not_written(f"The catalog of {model}", output, error) from error


def _not_written(what: str, output: Path, error: OSError) -> "UserFacingError":
    from utils.errors import UserFacingError

    reason = error.strerror or str(error)
    return UserFacingError(f"{what} cannot go to {output}: {reason}.", "Choose a folder with --output.")


def _analyze_all(arguments: argparse.Namespace, stdout: TextIO) -> int:
    """Make the catalog of each model; 1 where one could not be made."""
    from utils.errors import UserFacingError
    from utils.runtime.files import check_writable
    from utils.runtime.progress_lines import JsonLines, TextLines

    def lines_for(model: str) -> "ProgressLines":
        return JsonLines(stdout) if arguments.progress_json else TextLines(arguments.name or model)

    try:
        check_writable(arguments.output)
    except OSError as error:
        return _fail(_not_written("The catalogs", arguments.output, error), lines_for(""))
    code = 0
    written: dict[str, str] = {}
    for name_or_dir in arguments.model:
        lines = lines_for(Path(name_or_dir).name)
        try:
            with _explained(name_or_dir, arguments.output):
                lines("starting", 0, 0)
                # This takes some seconds the first time: it brings torch along.
                from utils.models.sources import find_model

                source = find_model(name_or_dir)
                name = arguments.name or source.name
                if name in written:
                    raise UserFacingError(
                        f"{written[name]} and {name_or_dir} are both named '{name}', and so is the catalog.",
                        "Rename one of the folders, or analyze them one by one with --name.",
                    )
                written[name] = name_or_dir
                work = _take_rankings if arguments.rankings_from else _analyze
                work(source, arguments, lines)
        except UserFacingError as error:
            # One bad model does not keep the others from their catalogs.
            code = _fail(error, lines)
        except KeyboardInterrupt:
            stopped = UserFacingError("stopped; the catalog in the making was not written.", "")
            _fail(stopped, lines)
            return INTERRUPTED
    return code


def _compare_all(arguments: argparse.Namespace) -> int:
    """Print how far each model's scores are from detect_head's; 1 where one is too far."""
    from utils.analyzer.bridge_patterns import BridgePatterns
    from utils.analyzer.detect_head_comparison import TOLERANCE, compare, text_sequences
    from utils.errors import UserFacingError
    from utils.models.sources import find_model
    from utils.runtime.progress_lines import TextLines

    code = 0
    for name_or_dir in arguments.model:
        lines = TextLines(Path(name_or_dir).name)
        try:
            with _explained(name_or_dir, arguments.output):
                loaded = _load(find_model(name_or_dir), arguments, lines)
                source = BridgePatterns(loaded)
                sequences = text_sequences(loaded, source, arguments.sequences, arguments.seed)
                found = compare(loaded, source, sequences, lines)
        except UserFacingError as error:
            code = _fail(error, lines)
            continue
        finally:
            lines.close()
        sys.stdout.write(f"{loaded.name}: {found.sequences} sequences of {found.length} tokens\n")
        for role, difference in found.largest.items():
            sys.stdout.write(f"  {role:<16} largest difference {difference:.1e}\n")
        if not found.within_tolerance:
            far = f"The scores of {loaded.name} are more than {TOLERANCE:.0e} from detect_head's."
            code = _fail(UserFacingError(far, "Please report this."))
    return code


def _check_all(paths: Sequence[Path]) -> int:
    """Check catalogs without a model; 1 where something is wrong."""
    from retrieval.rankings.methods import METHODS
    from utils.catalog.check import catalog_problems, find_catalogs

    found, errors = find_catalogs(paths or [OUTPUT])
    for error in errors:
        _fail(error)
    problems = 0
    for path in found:
        message = catalog_problems(path, METHODS)
        for problem in message:
            sys.stderr.write(f"{path}: {' '.join(problem.split())}\n")
        if not message:
            sys.stdout.write(f"{path}: OK\n")
        problems += len(message)
    return 1 if problems or errors else 0


def _fail(error: "UserFacingError", lines: "ProgressLines | None" = None) -> int:
    """One line on stderr, and one for a program that reads the progress; returns the exit status."""
    if lines is not None:
        lines.close()
        lines.fail(error)
    sys.stderr.write(f"analyze_heads: {' '.join(str(error).split())}\n")
    return 1


def main(argv: Sequence[str] | None = None) -> int:
    """Parse and do what was asked for; 0 when all of it was done."""
    parser = build_parser(__doc__ or "")
    arguments = parser.parse_args(argv)
    check_arguments(arguments, parser)
    # Errors are one line each; what libraries log beside that is for developers.
    logging.basicConfig(level=logging.CRITICAL, format="%(message)s")
    stdout = sys.stdout
    try:
        # A program that reads the progress gets nothing on stdout that some library prints.
        with contextlib.redirect_stdout(sys.stderr) if arguments.progress_json else contextlib.nullcontext():
            if arguments.check is not None:
                return _check_all(arguments.check)
            if arguments.compare_detect_head:
                return _compare_all(arguments)
            return _analyze_all(arguments, stdout)
    except KeyboardInterrupt:
        sys.stderr.write("analyze_heads: stopped.\n")
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read stdout is gone. Python would flush it once more at the end, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stdout.fileno())
        return 1


if __name__ == "__main__":
    # Before torch is there: sums then come out the same whatever the number of threads (Intel's MKL).
    os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")
    sys.exit(main())
