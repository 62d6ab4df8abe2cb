"""A random model to measure on: nothing has to be fetched, and its shape is chosen."""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoTokenizer, GPT2Config, GPT2LMHeadModel, LlamaForCausalLM

from utils.models.sources import BUNDLED

LLAMA = "demo-llama"
# Wider than usual: attention is then far from uniform, as in a trained model.
SPREAD = 0.1

# GPT-2's.
VOCABULARY = 50257
# What can be chosen of its shape: the default and what it counts.
GPT2_SIZES = {
    "layers": (12, "layers of the model"),
    "heads": (12, "heads in a layer"),
    "width": (768, "width of the model, a multiple of the heads"),
}


def save_random_gpt2(
    folder: Path, layers: int = 12, heads: int = 12, width: int = 768, context: int = 1024
) -> Path:
    """Save a GPT-2 with random weights, GPT-2 small's shape by default, and a bundled model's tokenizer.

    Args:
        folder: made where it is missing.
        layers: how many.
        heads: in each layer.
        width: of the residual stream, a multiple of `heads`.
        context: most tokens.

    Returns:
        The folder.
    """
    tokenizer = AutoTokenizer.from_pretrained(BUNDLED / "demo-gpt2", local_files_only=True)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = GPT2LMHeadModel(
            GPT2Config(
                vocab_size=VOCABULARY,
                n_layer=layers,
                n_head=heads,
                n_embd=width,
                n_positions=context,
                bos_token_id=tokenizer.bos_token_id,
                eos_token_id=tokenizer.eos_token_id,
            )
        )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def save_random_demo_llama(folder: Path, context: int) -> Path:
    """Save a Llama with random weights in the shape of the bundled one, and its tokenizer.

    Args:
        folder: made where it is missing.
        context: most tokens, instead of the bundled model's 512.

    Returns:
        The folder.
    """
    config: Any = AutoConfig.from_pretrained(BUNDLED / LLAMA, local_files_only=True)
    config.max_position_embeddings = context
    config.initializer_range = SPREAD
    config.dtype = torch.float32
    with torch.random.fork_rng():
        torch.manual_seed(0)
        LlamaForCausalLM(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(BUNDLED / LLAMA, local_files_only=True).save_pretrained(folder)
    return folder
