"""The bundled models' own tokenizer: byte-level BPE, 4,096 tokens, digits one by one."""

import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from retrieval.filings import generated
from training.recipes import VOCABULARY
from utils.errors import UserFacingError
from utils.roles.probe_inputs import word_list
from utils.roles.registry import ROLES

BOS = "<|endoftext|>"
SUGGESTED_PROMPT_WEIGHT = 400


def train_tokenizer(texts: Iterable[str], vocabulary: int = VOCABULARY) -> PreTrainedTokenizerFast:
    """Learn the merges from `texts`; BOS is id 0 and goes before every text, as in training."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[BOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = start_first()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=BOS, eos_token=BOS, clean_up_tokenization_spaces=False
    )


def start_first() -> processors.TemplateProcessing:
    """Has the tokenizer put BOS before a text by itself."""
    return processors.TemplateProcessing(single=f"{BOS} $A", special_tokens=[(BOS, 0)])


def corpus_files(folder: Path) -> list[Path]:
    """The text files of a corpus folder, in order of their names."""
    return sorted(folder.glob("*.txt"))


def corpus_texts(folder: Path | None) -> Iterator[str]:
    """The text of each file of a corpus folder; nothing without a folder."""
    for path in corpus_files(folder) if folder else ():
        yield path.read_text(encoding="utf-8")


def generated_texts(count: int = 12_000, seed: int = 0) -> Iterator[str]:
    """Filings with their questions, and word lists: what the tokenizer learns besides prose."""
    rng = random.Random(f"tokenizer-{seed}")
    everything = generated.FilingOptions(other_facts=tuple(generated.TASKS))
    for _ in range(count):
        sample = generated.make_filing(rng.choice(tuple(generated.TASKS)), rng, everything)
        yield f"{sample.prompt} {sample.answer}"
        yield word_list(rng)
    # The words of the prompts that the page suggests become whole tokens: "mat" reads better in a class
    # than "m" and "at".
    for _ in range(SUGGESTED_PROMPT_WEIGHT):
        yield from (prompt for role in ROLES.values() for prompt in role.example_prompts)


def load_or_train_tokenizer(
    folder: Path, corpus: Path | None, vocabulary: int = VOCABULARY
) -> PreTrainedTokenizerFast:
    """The tokenizer kept in `folder`, or a new one, learnt from corpus and generated text and kept there."""
    if not (folder / "tokenizer.json").exists():
        train_tokenizer((*corpus_texts(corpus), *generated_texts()), vocabulary).save_pretrained(folder)
    return load_tokenizer(folder)


def load_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """The tokenizer of a bundled model.

    Raises:
        UserFacingError: the folder holds none.
    """
    if not (folder / "tokenizer.json").is_file():
        raise UserFacingError(
            f"There is no tokenizer in {folder}.",
            "Train the base model first, or name its folder with --base.",
        )
    return PreTrainedTokenizerFast.from_pretrained(folder)


def token_ids(tokenizer: Any, texts: Iterable[str]) -> torch.Tensor:
    """All texts as one row of token ids [n], the end token between them."""
    ids: list[int] = []
    for text in texts:
        # By paragraphs, each with its line break: one call over a whole book would hold much memory.
        for encoded in tokenizer(text.splitlines(keepends=True), add_special_tokens=False)["input_ids"]:
            ids += encoded
        ids.append(tokenizer.eos_token_id)
    return torch.tensor(ids, dtype=torch.int32).long()
