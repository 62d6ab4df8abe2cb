"""Train a bundled model, or print what one can do.

python scripts/train_demo_model.py demo-llama --corpus DIR
python scripts/train_demo_model.py --evaluate models/demo-llama --prose valid.txt --prose-train DIR
"""

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from transformers.utils import logging as transformers_logging

from retrieval.filings.tasks import TASKS
from training import evaluate, model_card
from training.chat import with_chat_template
from training.loop import train
from training.mix import RowSource
from training.recipes import LOG_RECIPES, RECIPES, VOCABULARY, Recipe
from training.tokenizer import corpus_texts, load_or_train_tokenizer, load_tokenizer, token_ids
from utils.errors import UserFacingError
from utils.models.loading import LoadedModel, load_model
from utils.runtime.command_line import positive
from utils.runtime.files import write_text_atomic

ROOT = Path(__file__).resolve().parents[1]
# What a card tells of a model that goes on from another.
LENGTHS = (130, 190, 260, 350)
FILINGS_A_LENGTH = 40


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", nargs="?", choices=sorted(RECIPES | LOG_RECIPES), help="the model to train")
    parser.add_argument(
        "--corpus", type=Path, help="folder of .txt files with prose (default: generated text alone)"
    )
    parser.add_argument(
        "--work", type=Path, default=ROOT / "runs", help="folder for checkpoints (default: runs/)"
    )
    parser.add_argument("--output", type=Path, default=ROOT / "models", help="where the finished model goes")
    parser.add_argument(
        "--base",
        type=Path,
        default=ROOT / "models",
        help="folder of the model that an instruct model goes on from (default: models/)",
    )
    parser.add_argument("--tokens", type=positive, help="training tokens in all (default: the recipe's)")
    parser.add_argument("--stop-after", type=positive, help="stop with a checkpoint after so many tokens")
    parser.add_argument("--seed", type=int, help="seed (default: the recipe's)")
    parser.add_argument("--threads", type=positive, default=2, help="CPU threads (default: 2)")
    parser.add_argument(
        "--evaluate", type=Path, metavar="DIR", help="print one JSON object about a trained model"
    )
    parser.add_argument(
        "--prose", type=Path, metavar="FILE", help="held-out prose, with --evaluate or for the model card"
    )
    parser.add_argument(
        "--prose-train", type=Path, metavar="DIR", help="the prose that n-gram baselines count"
    )
    return parser


def _load(folder: Path) -> LoadedModel:
    loaded = load_model(folder.resolve().name, folder)
    if loaded.bos_id is None:
        raise UserFacingError(
            f"The model {loaded.name} has no start token, which all that is measured here begins with.",
            "Name a model that this script has trained, such as models/demo-gpt2.",
        )
    return loaded


def evaluation(folder: Path, prose: Path | None, prose_train: Path | None) -> dict[str, Any]:
    """What the model in `folder` can do, from held-out data generated on the spot (and held-out prose)."""
    loaded = _load(folder)
    model, tokenizer = loaded.model, loaded.tokenizer
    result = {
        "best_heads": evaluate.best_heads(evaluate.role_score_table(model, tokenizer, sequences=50)),
        "repeated_accuracy": round(evaluate.repeated_accuracy(model, tokenizer), 4),
        "filing_accuracy": evaluate.filing_accuracy(model, tokenizer),
    }
    if prose:
        held_out = token_ids(tokenizer, [prose.read_text(encoding="utf-8")])
        loss = evaluate.prose_loss(model, tokenizer, held_out, loaded.context_length)
        result["prose_loss"] = round(loss, 4)
        if prose_train:
            train_ids = token_ids(tokenizer, corpus_texts(prose_train))
            unigram, bigram = evaluate.ngram_losses(train_ids, held_out, len(tokenizer))
            result |= {"unigram_loss": round(unigram, 4), "bigram_loss": round(bigram, 4)}
    return result


def accuracy_by_length(loaded: LoadedModel, lengths: Sequence[int]) -> dict[int, dict[str, float]]:
    """Exact match of all nine questions, {length of the plain prompt: {question: share}}."""
    tasks = tuple(TASKS)
    return {
        length: evaluate.filing_accuracy(loaded.model, loaded.tokenizer, FILINGS_A_LENGTH, tasks, length)
        for length in lengths
    }


def run_training(recipe: Recipe, arguments: argparse.Namespace) -> None:
    """Train (or go on training) and write the finished model with its card and log, or its log alone."""
    work = arguments.work / recipe.name
    work.mkdir(parents=True, exist_ok=True)
    if recipe.base is None:
        size = "" if recipe.vocabulary == VOCABULARY else f"-{recipe.vocabulary}"
        kept = arguments.work / f"tokenizer{size}"
        tokenizer = load_or_train_tokenizer(kept, arguments.corpus, recipe.vocabulary)
        cached = arguments.work / f"prose{size}.pt"
    else:
        tokenizer = load_tokenizer(arguments.base / recipe.base)
        cached = work / "prose.pt"
    if recipe.chats:
        tokenizer = with_chat_template(tokenizer)
    if arguments.corpus and cached.exists():
        prose = torch.load(cached, weights_only=True)
    else:
        prose = token_ids(tokenizer, corpus_texts(arguments.corpus))
        if arguments.corpus:
            torch.save(prose, cached)
    source = RowSource(tokenizer, prose, recipe.answer_weight)
    model = train(recipe, source, work, arguments.stop_after, arguments.base)
    if arguments.stop_after is not None and arguments.stop_after < recipe.tokens:
        return
    if recipe.name in LOG_RECIPES:
        # Its log in the work folder is all that is wanted.
        return
    folder = arguments.output / recipe.name
    folder.mkdir(parents=True, exist_ok=True)
    model.half().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "training_log.jsonl").write_bytes((work / "training_log.jsonl").read_bytes())
    loaded = _load(folder)
    result = evaluation(folder, arguments.prose, arguments.prose_train or arguments.corpus)
    if recipe.base is not None:
        both = (_load(arguments.base / recipe.base), loaded)
        result["by_length"] = {model.name: accuracy_by_length(model, LENGTHS) for model in both}
    stories = evaluate.continuations(loaded.model, loaded.tokenizer, model_card.OPENINGS)
    card = model_card.text(recipe, loaded.model, len(prose), result, stories)
    write_text_atomic(folder / "README.md", card)


def main(argv: list[str] | None = None) -> int:
    """Parse, train or evaluate; 0 when all is well."""
    parser = build_parser()
    arguments = parser.parse_args(argv)
    if (arguments.name is None) == (arguments.evaluate is None):
        parser.error("name a model to train, or --evaluate DIR")
    for option in ("corpus", "prose_train"):
        folder = getattr(arguments, option)
        if folder is not None and not any(folder.glob("*.txt")):
            parser.error(
                f"--{option.replace('_', '-')}: no .txt files in {folder}; name a folder that holds some"
            )
    if arguments.prose_train is not None and arguments.prose is None:
        parser.error("--prose-train needs --prose FILE, the held-out text")
    if arguments.prose is not None and not arguments.prose.is_file():
        parser.error(f"--prose: {arguments.prose} is no file; name a text file")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    torch.set_num_threads(arguments.threads)
    try:
        if arguments.evaluate is not None:
            result = evaluation(arguments.evaluate, arguments.prose, arguments.prose_train)
            sys.stdout.write(json.dumps(result, indent=1) + "\n")
        else:
            recipe = (RECIPES | LOG_RECIPES)[arguments.name]
            changes = {
                key: getattr(arguments, key)
                for key in ("tokens", "seed")
                if getattr(arguments, key) is not None
            }
            run_training(replace(recipe, **changes), arguments)
    except (UserFacingError, OSError, ValueError) as error:
        sys.stderr.write(f"train_demo_model: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\nStopped; the same command goes on from the last checkpoint.\n")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
