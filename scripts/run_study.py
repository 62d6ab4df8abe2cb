"""The study of retrieval heads, from data to findings (study/README.md).

python scripts/run_study.py all                    every stage, with study/protocol.toml
python scripts/run_study.py prepare                make the filings, divide and describe them
python scripts/run_study.py rank                   rank heads on the train parts
python scripts/run_study.py ablate                 ablate heads on the test parts, make the tables
python scripts/run_study.py tables                 make the tables of what is there, when a study was stopped
python scripts/run_study.py figures                draw the figures
python scripts/run_study.py report                 tell the findings
python scripts/run_study.py compare FILE...        how alike rankings are, published ones too

A study that was stopped goes on where it was when the same command is called again. Where each stage's
results are goes to stdout; progress, notes and errors (a line each) go to stderr. Exit status: 0 when all was
done, 1 when something could not be, 2 for a wrong option, 130 when stopped with Ctrl+C.
"""

import argparse
import logging
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

if TYPE_CHECKING:
    from utils.errors import UserFacingError

from utils.runtime.command_line import INTERRUPTED, amount, positive

# The modules of the project are imported where they are used: they bring torch along, and a wrong option or
# --help should not wait for it.

STUDY = Path(__file__).resolve().parents[1] / "study"
STAGE_NAMES = ("prepare", "rank", "ablate", "tables", "figures", "report", "all", "compare")


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("stage", nargs="?", choices=STAGE_NAMES, help="what to do")
    parser.add_argument("files", nargs="*", metavar="FILE", help="for compare: files of rankings")
    parser.add_argument(
        "--protocol",
        type=Path,
        default=STUDY / "protocol.toml",
        metavar="FILE",
        help="what to study (default: study/protocol.toml)",
    )
    parser.add_argument(
        "--results",
        type=Path,
        default=STUDY / "results",
        metavar="DIR",
        help="folder of the results (default: study/results)",
    )
    parser.add_argument(
        "--models", nargs="+", default=[], metavar="NAME", help="only these models of the protocol"
    )
    parser.add_argument(
        "--max-samples",
        type=positive,
        metavar="N",
        help="at most N filings a question, both splits together",
    )
    parser.add_argument(
        "--lengths",
        nargs="+",
        type=positive,
        default=[],
        metavar="N",
        help="only prompts of these lengths: so a long study can be run piece by piece",
    )
    parser.add_argument(
        "--claim-only",
        action="store_true",
        help="only what the claim needs: a first answer in a small part of the time",
    )
    parser.add_argument(
        "--filings",
        metavar="DIR",
        help="folder of the real filings, truth.csv and texts.jsonl (default: the protocol's)",
    )
    parser.add_argument(
        "--device", help="where all models run: cpu, cuda, cuda:1, mps (default: the protocol's)"
    )
    parser.add_argument("--dtype", help="numbers that they compute in on a GPU: float32, bfloat16, float16")
    where = parser.add_argument_group("where the work runs")
    where.add_argument(
        "--jobs",
        type=positive,
        metavar="N",
        help="processes at a time (default: one a core; one where a model runs on a GPU)",
    )
    where.add_argument(
        "--ray",
        metavar="ADDRESS",
        help="run on the Ray cluster at this address, or with 'auto' on this machine's (one is started where "
        "there is none); needs requirements-ray.txt",
    )
    where.add_argument(
        "--cpus-per-task",
        type=amount,
        default=1.0,
        metavar="N",
        help="CPUs that Ray gives a task (default: 1)",
    )
    where.add_argument(
        "--gpus-per-task",
        type=amount,
        default=0.0,
        metavar="N",
        help="GPUs that Ray gives a task (default: 0); 0.5 lets two tasks share one",
    )
    return parser


def _check_arguments(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """End with usage and status 2 where options do not go together."""
    if (arguments.stage == "compare") != bool(arguments.files):
        parser.error(
            "compare needs at least one FILE" if arguments.stage == "compare" else "only compare takes files"
        )
    if arguments.ray is None and (arguments.gpus_per_task or arguments.cpus_per_task != 1):
        parser.error("arguments --cpus-per-task and --gpus-per-task: go with --ray")
    if arguments.ray is not None and arguments.jobs is not None:
        parser.error("argument --jobs: does not go with --ray, which settles that by itself")


def _run(arguments: argparse.Namespace) -> None:
    """Do the stages that were asked for.

    Raises:
        UserFacingError: something could not be done.
    """
    from study.ablation.head_sets import claim_portions
    from study.ablation.runners import RunnerOptions
    from study.data.protocol import load_protocol, restricted
    from study.data.results_folder import unwritable
    from study.stages import STAGES, StudyRun, stages_of
    from utils.runtime.files import check_writable
    from utils.runtime.progress_lines import TextLines

    protocol = load_protocol(arguments.protocol)
    chosen = restricted(
        protocol,
        models=arguments.models,
        max_samples=arguments.max_samples,
        lengths=arguments.lengths,
        filings=arguments.filings,
        claim_only=arguments.claim_only,
        device=arguments.device,
        dtype=arguments.dtype,
    )
    with unwritable(arguments.results):
        check_writable(arguments.results)
    only = claim_portions(chosen) if arguments.claim_only else ()
    for name in stages_of(arguments.stage):
        lines = TextLines(name)

        def say(text: str, lines: TextLines = lines, name: str = name) -> None:
            lines.close()
            sys.stderr.write(f"{name}: {text}\n")

        runner = RunnerOptions(
            jobs=arguments.jobs or 0,
            ray=arguments.ray,
            cpus=arguments.cpus_per_task,
            gpus=arguments.gpus_per_task,
        )
        try:
            run = StudyRun(protocol, chosen, arguments.results, runner, lines, say, only)
            path = STAGES[name](run)
        finally:
            lines.close()
        lines.finish(str(path))


def _fail(error: "UserFacingError") -> int:
    sys.stderr.write(f"run_study: {' '.join(str(error).split())}\n")
    return 1


def main(argv: Sequence[str] | None = None) -> int:
    """Parse and do what was asked for; 0 when all of it was done."""
    parser = build_parser()
    arguments = parser.parse_intermixed_args(argv)
    _check_arguments(arguments, parser)
    if arguments.stage is None:
        parser.print_help()
        return 0
    # Errors are one line each; what libraries log beside that is for developers.
    logging.basicConfig(level=logging.CRITICAL, format="%(message)s")
    try:
        from utils.errors import UserFacingError

        try:
            if arguments.stage == "compare":
                from retrieval.rankings.comparison import run

                return run(arguments.files, sys.stdout)
            _run(arguments)
            return 0
        except UserFacingError as error:
            return _fail(error)
        except (MemoryError, RuntimeError) as error:
            # torch's errors of its own kinds are RuntimeErrors.
            if isinstance(error, RuntimeError) and not re.search("out of memory|allocate memory", str(error)):
                raise
            remedy = "Use a smaller ablation.batch_tokens in the protocol, fewer --jobs, or another --device."
            return _fail(UserFacingError("The memory is full.", remedy))
    except KeyboardInterrupt:
        sys.stderr.write(
            "run_study: stopped; what is done is kept, and the same command goes on from there.\n"
        )
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read stdout is gone. Python would flush it once more at the end, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


if __name__ == "__main__":
    # Before torch is there: sums then come out the same whatever the number of threads (Intel's MKL).
    os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")
    sys.exit(main())
