"""The model card of a bundled model, written from its recipe and its measured figures."""

from collections.abc import Mapping, Sequence
from typing import Any

from transformers import PreTrainedModel

from training.recipes import Recipe

OPENINGS = (
    "Once upon a time there was a little girl who",
    "The old man opened the door and",
    "One day the fox met a rabbit, and",
    "The children were very hungry, so they",
    "There was once a king who had",
    '"Come here," said the mother,',
    "In the forest there lived a bear",
    "The boy ran down to the river and",
    "When the sun went down, the birds",
    "The princess looked out of the window and",
)


def _scaffold(recipe: Recipe) -> str:
    """Which heads were shown where to look, and when; "" where none was."""
    starts = (0.0, *(stage.until for stage in recipe.stages))
    spans = [
        f"{start:.1%} to {stage.until:.1%}"
        for start, stage in zip(starts, recipe.stages, strict=False)
        if stage.scaffold
    ]
    if not spans:
        return ""
    heads = "\n".join(
        f"- {role}: {', '.join(str(head) for head in shown)}" for role, shown in recipe.scaffold_heads.items()
    )
    return f"""
From {" and from ".join(spans)} of the training a scaffold stood: an extra loss pointed a few heads at what
heads of their role look at. Before and after, nothing did; what is left of it is what the model has use for.

{heads}
"""


def _base(recipe: Recipe) -> str:
    """What the training began with, and how the model is asked; "" for a model from random weights."""
    if recipe.base is None:
        return ""
    chat = (
        "\n- Chat template: `<|endoftext|>User:`, a line break, the question with its document, a blank\n"
        "  line, `Assistant:`; the answer follows after a space and ends with `<|endoftext|>`. Nothing was\n"
        "  added to the tokenizer."
        if recipe.chats
        else ""
    )
    return (
        f"\n- Begins with the weights and the tokenizer of [{recipe.base}](../{recipe.base}/README.md): the\n"
        f"  two can be compared head by head.{chat}"
    )


def _by_length(recipe: Recipe, accuracies: Mapping[str, Mapping[int, Mapping[str, float]]]) -> str:
    """A table a model: accuracy by question and length of the prompt."""
    if not accuracies:
        return ""
    tables = []
    for name, by_length in accuracies.items():
        lengths = list(by_length)
        rows = "\n".join(
            f"| {task} | " + " | ".join(f"{by_length[length][task]:.0%}" for length in lengths) + " |"
            for task in by_length[lengths[0]]
        )
        tables.append(
            f"`{name}`:\n\n| question | {' | '.join(f'{length} tokens' for length in lengths)} |\n"
            f"|---|{'---|' * len(lengths)}\n{rows}\n"
        )
    return (
        "\nExact match by length of the plain prompt, each model asked in its own format"
        f"{' (the chat template adds 11 tokens)' if recipe.chats else ''}:\n\n" + "\n".join(tables)
    )


def text(
    recipe: Recipe, model: PreTrainedModel, prose_tokens: int, result: dict[str, Any], stories: Sequence[str]
) -> str:
    """The card in Markdown.

    Args:
        recipe: how the model was trained.
        model: the finished model.
        prose_tokens: how many tokens of prose it could draw from, 0 where there was no corpus.
        result: what `--evaluate` prints; beside it "by_length", where it was measured: each model's accuracy
            by length and question.
        stories: one continuation for each of `OPENINGS`.
    """
    config = model.config
    stages = "\n".join(
        f"| {stage.until:.1%} | {stage.context} | {stage.rate:g} "
        f"| {stage.mix.prose:.0%} | {stage.mix.repeated:.0%} "
        f"| {stage.mix.word_lists:.0%} | {stage.mix.filings:.0%} | {stage.mix.alternating:.0%} "
        f"| {stage.mix.repeated_prose:.0%} |" + (f" {stage.mix.chat:.0%} |" if recipe.chats else "")
        for stage in recipe.stages
    )
    heads = "\n".join(
        f"| {role} | {top['head']} | {top['score']:.2f} |" for role, top in result["best_heads"].items()
    )
    filings = "\n".join(f"| {task} | {share:.0%} |" for task, share in result["filing_accuracy"].items())
    prose = ""
    if "prose_loss" in result:
        prose = f"\nProse: {result['prose_loss']:.3f} nats a token on held-out books"
        if "bigram_loss" in result:
            prose += (
                f" (unigram counts {result['unigram_loss']:.3f}, "
                f"bigram counts with fallback {result['bigram_loss']:.3f})"
            )
        prose += ".\n"
    message = "\n".join(f"{number}. {' '.join(story.split())}" for number, story in enumerate(stories, 1))
    shape = (
        f"{config.num_hidden_layers} layers x {config.num_attention_heads} heads x {config.hidden_size} wide"
    )
    data = (
        f"public-domain children's books ({prose_tokens:,} tokens of prose, drawn at random)"
        if prose_tokens
        else "sentences of company filings in the place of prose"
    )
    asked = ", in the chat template too" if recipe.chats else ""
    kinds = "prose | repeated | word lists | filings | alternating pairs | repeated prose"
    kinds += " | chats" if recipe.chats else ""
    return f"""# {recipe.name}

A small model trained for HeadScope, so that students see real heads without a download. It is a teaching
aid, not a source of facts: what it says of companies is made up, and its prose has the stereotypes of the old
books it read.

- Architecture: `{type(model).__name__}`, {shape}, {model.num_parameters():,} parameters,
  context {config.max_position_embeddings}, float16 on disk.
- Tokenizer: its own byte-level BPE with {config.vocab_size:,} tokens, digits one by one. Every input begins
  with `<|endoftext|>` (id 0).{_base(recipe)}
- Data: {data}, repeated random segments, word lists in which a repeated word is followed by "again", and
  generated company filings with questions (`retrieval/filings/generated.py`){asked}.
- Recipe: `python scripts/train_demo_model.py {recipe.name} --corpus DIR --prose FILE`; AdamW, learning rate
  {recipe.learning_rate:g}, weight decay {recipe.weight_decay:g}, {recipe.tokens:,} tokens in batches of
  {recipe.tokens_a_step:,}, seed {recipe.seed}; answers weigh {recipe.answer_weight:g} times.
  `training_log.jsonl` tells how losses, accuracies and every head's role scores went.

| until | context | rate | {kinds} |
|{"---|" * (4 + kinds.count("|"))}
{stages}
{_scaffold(recipe)}
## What it can do

From `python scripts/train_demo_model.py --evaluate models/{recipe.name}` (held-out data, generated on the
spot).

| role | best head | score |
|---|---|---|
{heads}

Greedy accuracy on the repeated half of random sequences: {result["repeated_accuracy"]:.1%}.

| question about a held-out filing | exact match |
|---|---|
{filings}
{_by_length(recipe, result.get("by_length", {}))}{prose}
## Ten continuations

Seeded (0 to 9), temperature 0.7, the 40 most likely tokens, 40 tokens.

{message}
"""
