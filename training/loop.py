"""The training loop: seeded batches, checkpoints, a log of how the heads form."""

import json
import logging
import os
import random
import sys
import time
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional
from transformers import PreTrainedModel

from training import evaluate
from training.mix import RowSource, make_batch
from training.recipes import Mix, Recipe
from training.scaffold import scaffold_loss
from utils.errors import UserFacingError
from utils.models.sources import BUNDLED
from utils.runtime.files import write_text_atomic

logger = logging.getLogger(__name__)

# Points crowd towards the start, where heads form.
LOG_POWER = 1.8
CHECKPOINT_SECONDS = 120
WARMUP_STEPS = 100
DECAY_SHARE = 0.35
FINAL_RATE = 0.03
LOSS_ROWS = 8
LOGGED_KINDS = ("prose", "repeated", "word_lists", "filings")


def log_schedule(recipe: Recipe) -> list[int]:
    """The token counts at which the log gets a line, first and last included."""
    if recipe.log_steps:
        starts = (0, *recipe.log_steps)
        inner = [
            point
            for start, (end, step) in zip(starts, recipe.log_steps.items(), strict=False)
            for point in range(start, min(end, recipe.tokens), step)
        ]
        return [*inner, recipe.tokens]
    points = recipe.log_points
    return sorted({round(recipe.tokens * (k / points) ** LOG_POWER) for k in range(points + 1)})


def rate_at(recipe: Recipe, step: int, tokens_done: int) -> float:
    """Learning rate: a warm-up, a plateau, and a straight descent over the last third, to each decay."""
    end = next((end for end in recipe.decays if tokens_done < end), recipe.tokens)
    left = (1 - tokens_done / end) / DECAY_SHARE
    plateau = recipe.learning_rate * recipe.stage_at(tokens_done).rate
    return plateau * min(1.0, (step + 1) / WARMUP_STEPS) * max(FINAL_RATE, min(1.0, left))


def weighted_loss(model: PreTrainedModel, ids: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Mean loss over targets by weight; logits are made only where a target has weight.

    Args:
        model: a causal language model.
        ids: [rows, context].
        weights: [rows, context], of each token as a target.
    """
    hidden = model.base_model(ids, use_cache=False)[0][:, :-1]
    wanted = weights[:, 1:] > 0
    unembed: Any = model.get_output_embeddings()
    logits = unembed(hidden[wanted])
    losses = functional.cross_entropy(logits, ids[:, 1:][wanted], reduction="none")
    chosen = weights[:, 1:][wanted]
    return (losses * chosen).sum() / chosen.sum()


def _optimizer(model: PreTrainedModel, recipe: Recipe) -> torch.optim.AdamW:
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() <= 1]
    return torch.optim.AdamW(
        [{"params": matrices, "weight_decay": recipe.weight_decay}, {"params": vectors, "weight_decay": 0.0}],
        lr=recipe.learning_rate,
        betas=(0.9, 0.98),
        fused=True,
    )


def _log_line(model: PreTrainedModel, source: RowSource, recipe: Recipe, tokens_done: int) -> dict[str, Any]:
    """Losses by kind of row, accuracies, and every head's score for every role."""
    stage = recipe.stage_at(tokens_done)
    context = min(128, model.config.max_position_embeddings)
    rng = random.Random(evaluate.HELD_OUT_SEED)
    losses = {}
    model.eval()
    with torch.inference_mode():
        for kind in LOGGED_KINDS + (("chat",) if recipe.chats else ()):
            only = Mix(**{field.name: float(field.name == kind) for field in fields(Mix)})
            losses[kind] = float(weighted_loss(model, *make_batch(source, only, context, LOSS_ROWS, rng)))
        implementation: Any = model.config._attn_implementation
        model.set_attn_implementation("eager")
        table = evaluate.role_score_table(model, source.tokenizer, sequences=6)
        model.set_attn_implementation(implementation)
    line = {
        "tokens": tokens_done,
        "context": stage.context,
        "losses": {kind: round(loss, 4) for kind, loss in losses.items()},
        "repeated_accuracy": round(evaluate.repeated_accuracy(model, source.tokenizer, 10), 4),
        "filing_accuracy": evaluate.filing_accuracy(model, source.tokenizer, 10),
        "best_heads": evaluate.best_heads(table),
        "role_scores": {
            role: [[round(x, 3) for x in row] for row in scores.tolist()] for role, scores in table.items()
        },
    }
    model.train()
    return line


def _save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    part = path.with_suffix(".part")
    torch.save(state, part)
    os.replace(part, path)


def starting_model(recipe: Recipe, models: Path) -> PreTrainedModel:
    """The model before its first step: random weights, or those of the recipe's base.

    Args:
        recipe: what to train.
        models: the folder that holds the base model's folder.

    Raises:
        UserFacingError: there is no base model, or it is of another shape.
    """
    torch.manual_seed(recipe.seed)
    model = recipe.build()
    if recipe.base is None:
        return model
    weights = models / recipe.base / "model.safetensors"
    if not weights.is_file():
        raise UserFacingError(
            f"{recipe.name} goes on from {recipe.base}, and there is no {weights}.",
            f"Train {recipe.base} first, or name the folder that holds it with --base.",
        )
    base = type(model).from_pretrained(weights.parent, dtype=torch.float32)
    try:
        model.load_state_dict(base.state_dict())
    except RuntimeError:
        raise UserFacingError(
            f"{weights.parent} holds a model of another shape than {recipe.name}.",
            f"Name the folder that holds the {recipe.base} that this script has trained with --base.",
        ) from None
    return model


def train(
    recipe: Recipe, source: RowSource, work: Path, stop_after: int | None = None, models: Path = BUNDLED
) -> PreTrainedModel:
    """Train a recipe's model, going on from the checkpoint in `work` where there is one.

    Args:
        recipe: what to train.
        source: where rows come from.
        work: folder of checkpoint.pt and training_log.jsonl.
        stop_after: end early once so many tokens are done, with a checkpoint.
        models: the folder that holds the recipe's base model, where it has one.

    Raises:
        UserFacingError: the checkpoint is of another model, or there is no base model.
    """
    model = starting_model(recipe, models)
    model.train()
    optimizer = _optimizer(model, recipe)
    step = tokens_done = 0
    log: list[dict[str, Any]] = []
    checkpoint = work / "checkpoint.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        try:
            model.load_state_dict(state["model"])
        except RuntimeError:
            raise UserFacingError(
                f"{checkpoint} holds a model of another shape than the recipe {recipe.name}.",
                "Delete it to begin anew, or choose another folder with --work.",
            ) from None
        optimizer.load_state_dict(state["optimizer"])
        step, tokens_done, log = state["step"], state["tokens_done"], json.loads(state["log"])
        logger.info("resuming %s at %d tokens", recipe.name, tokens_done)

    def save() -> None:
        write_text_atomic(work / "training_log.jsonl", "".join(json.dumps(line) + "\n" for line in log))
        _save_checkpoint(
            checkpoint,
            {
                "model": model.state_dict(),
                "optimizer": optimizer.state_dict(),
                "step": step,
                "tokens_done": tokens_done,
                "log": json.dumps(log),
            },
        )

    points = log_schedule(recipe)
    saved_at = started = time.monotonic()
    tokens_at_start = tokens_done
    smooth = 0.0
    end = recipe.tokens if stop_after is None else min(recipe.tokens, stop_after)
    while tokens_done < end:
        # Each step has its own generator, so that a resumed run sees the batches of an unbroken one.
        stage = recipe.stage_at(tokens_done)
        rows = max(1, recipe.tokens_a_step // stage.context)
        if len(log) < sum(point <= tokens_done for point in points):
            log.append(_log_line(model, source, recipe, tokens_done))
            if recipe.base is not None and len(log) == 1:
                log[0]["base"] = recipe.base
            _report_line(log[-1])
        rng = random.Random(f"{recipe.seed}-{step}")
        ids, weights = make_batch(source, stage.mix, stage.context, rows, rng)
        for group in optimizer.param_groups:
            group["lr"] = rate_at(recipe, step, tokens_done)
        loss = weighted_loss(model, ids, weights)
        loss.backward()
        if stage.scaffold:
            # Patterns are handed out by eager attention alone.
            model.set_attn_implementation("eager")
            (stage.scaffold * scaffold_loss(model, source, recipe.scaffold_heads, rng)).backward()
            model.set_attn_implementation("sdpa")
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        step += 1
        tokens_done += rows * stage.context
        smooth = 0.98 * smooth + 0.02 * loss.item() if smooth else loss.item()
        if step % 20 == 0:
            speed = (tokens_done - tokens_at_start) / (time.monotonic() - started)
            sys.stderr.write(
                f"\r{recipe.name} {tokens_done / 1e6:.2f}M of {recipe.tokens / 1e6:.0f}M tokens, "
                f"context {stage.context}, loss {smooth:.3f}, {speed:.0f} tokens/s, "
                f"{(end - tokens_done) / speed / 60:.0f} min left   "
            )
            sys.stderr.flush()
        if time.monotonic() - saved_at > CHECKPOINT_SECONDS:
            save()
            saved_at = time.monotonic()
    # A finished run that is started again has its last line already.
    if tokens_done >= recipe.tokens and (not log or log[-1]["tokens"] < tokens_done):
        log.append(_log_line(model, source, recipe, tokens_done))
        _report_line(log[-1])
    save()
    return model


def _report_line(line: dict[str, Any]) -> None:
    best = " ".join(
        f"{role[:5]} {top['head']} {top['score']:.2f}" for role, top in line["best_heads"].items()
    )
    filings = " ".join(f"{share:.1f}" for share in line["filing_accuracy"].values())
    losses = " ".join(f"{kind} {loss:.2f}" for kind, loss in line["losses"].items())
    sys.stderr.write(
        f"\n{line['tokens']:>9} {losses} | repeated {line['repeated_accuracy']:.2f} filings {filings} "
        f"| {best}\n"
    )
