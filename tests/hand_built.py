"""A GPT-2 whose heads are what they are by construction: weights set, nothing trained.

Every token is one character and every position a direction of its own, so that what a head looks at can be
written down. The residual stream has four parts, each one-hot:

    token     the character here              (the embedding writes it)
    position  where this is                   (the position embedding writes it)
    before    the character one place back    (the previous-token head writes it)
    next      the character to expect         (the induction head writes it, the output layer reads it)

Layer norms are set to do nothing: wherever a head reads the stream it holds a fixed number of ones, so its
mean and variance are known, and gain and bias undo them. The feed-forward layers are zero. The induction
head works by composition: its query is the token here, its keys are the `before` part; without the
previous-token head in layer 0 it finds nothing.
"""

from collections.abc import Callable
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from utils.heads import Head

NAME = "hand-built"
BOS = "<|endoftext|>"
CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789 .,;:!?'\"-()[]{}/\\&%$#@*+=_"
VOCABULARY = (BOS, *CHARACTERS)
UNKNOWN = "_"

N_TOKENS = len(VOCABULARY)
N_POSITIONS = 128
TOKEN = slice(0, N_TOKENS)
POSITION = slice(TOKEN.stop, TOKEN.stop + N_POSITIONS)
BEFORE = slice(POSITION.stop, POSITION.stop + N_TOKENS)
NEXT = slice(BEFORE.stop, BEFORE.stop + N_TOKENS)
# Two heads a layer, each wide enough to compare a token and a position exactly.
N_HEADS = 2
HEAD_DIM = 200
WIDTH = N_HEADS * HEAD_DIM
# A match beats everything else by this much in the logits: e^-40 is nothing beside 1.
GAP = 40.0

PREVIOUS = Head(0, 0)
DIFFUSE = Head(0, 1)
DUPLICATE = Head(1, 0)
FIRST = Head(1, 1)
THREE_BACK = Head(2, 0)
MIXTURE = Head(2, 1)
INDUCTION = Head(3, 0)
SELF = Head(3, 1)
N_LAYERS = 4

# What the catalog must find; the rest have no role.
BUILT = {
    "previous_token": PREVIOUS,
    "induction": INDUCTION,
    "duplicate_token": DUPLICATE,
    "positional": FIRST,
    "diffuse": DIFFUSE,
}
WITHOUT_ROLE = (THREE_BACK, MIXTURE, SELF)


def build_tokenizer() -> PreTrainedTokenizerFast:
    """One token a character, lower case; BOS is token 0, an unknown character is an underscore."""
    vocabulary = {text: number for number, text in enumerate(VOCABULARY)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=BOS, eos_token=BOS)


class _HeadWeights:
    """The slices of one GPT-2 attention layer's weights that belong to one head."""

    def __init__(self, attention: nn.Module, head: int) -> None:
        self._fused: Tensor = attention.c_attn.weight  # pyright: ignore[reportAttributeAccessIssue, reportAssignmentType]
        self._out: Tensor = attention.c_proj.weight  # pyright: ignore[reportAttributeAccessIssue, reportAssignmentType]
        self._columns = slice(head * HEAD_DIM, (head + 1) * HEAD_DIM)
        self._used = 0

    def _part(self, which: int) -> Tensor:
        """Query (0), key (1) or value (2) weights [stream, head dimension]."""
        return self._fused[:, which * WIDTH : (which + 1) * WIDTH][:, self._columns]

    def compare(self, query: Tensor, key: Tensor, logit: float) -> None:
        """Add `logit` times (query reading of the stream) . (key reading), both [stream, k]."""
        room = slice(self._used, self._used + query.shape[1])
        self._used = room.stop
        assert self._used <= HEAD_DIM, "the head is too narrow for what it is to compare"
        self._part(0)[:, room] += query * logit * HEAD_DIM**0.5  # GPT-2 divides by the root
        self._part(1)[:, room] += key

    def copy(self, source: slice, target: slice) -> None:
        """Move the `source` part of the stream, as attended to, into the `target` part."""
        size = source.stop - source.start
        self._part(2)[source, :size] = torch.eye(size)
        self._out[self._columns][:size, target] = torch.eye(size)


def _reads(part: slice) -> Tensor:
    """A reading [stream, size of the part] of one part as it is."""
    reading = torch.zeros(WIDTH, part.stop - part.start)
    reading[part] = torch.eye(part.stop - part.start)
    return reading


def _reads_position(back: int) -> Tensor:
    """A reading of the position `back` places earlier; nothing where the text has not begun."""
    reading = torch.zeros(WIDTH, N_POSITIONS)
    for position in range(back, N_POSITIONS):
        reading[POSITION.start + position, position - back] = 1
    return reading


def _anywhere() -> Tensor:
    """A reading [stream, 1] that is 1 at every position."""
    reading = torch.zeros(WIDTH, 1)
    reading[POSITION] = 1
    return reading


def _first_only() -> Tensor:
    """A reading [stream, 1] that is 1 at the first position."""
    reading = torch.zeros(WIDTH, 1)
    reading[POSITION.start] = 1
    return reading


def _look_back(head: _HeadWeights, *places: int) -> None:
    for back in places:
        head.compare(_reads_position(back), _reads_position(0), GAP)


def _rest_on_first(head: _HeadWeights) -> None:
    """Half as strong as a match: the first token gets the attention where there is none."""
    head.compare(_anywhere(), _first_only(), GAP / 2)


def _previous(head: _HeadWeights) -> None:
    _look_back(head, 1)
    head.copy(TOKEN, BEFORE)


def _duplicate(head: _HeadWeights) -> None:
    # One reading of 192 for token and position together: token matches count for, the own position against.
    query = torch.cat([_reads(TOKEN), -2 * _reads_position(0)], dim=1)
    key = torch.cat([_reads(TOKEN), _reads_position(0)], dim=1)
    head.compare(query, key, GAP)
    _rest_on_first(head)


def _induction(head: _HeadWeights) -> None:
    # After "aa" the second a is a place that follows an a: it must not look at itself.
    query = torch.cat([_reads(TOKEN), -2 * _reads_position(0)], dim=1)
    key = torch.cat([_reads(BEFORE), _reads_position(0)], dim=1)
    head.compare(query, key, GAP)
    _rest_on_first(head)
    head.copy(TOKEN, NEXT)


def _mixture(head: _HeadWeights) -> None:
    # Readings add up in the same 128 dimensions: one comparison with several places.
    places = sum((_reads_position(back) for back in (2, 3, 4, 5)), torch.zeros(WIDTH, N_POSITIONS))
    head.compare(places, _reads_position(0), GAP)


_CONSTRUCTION: dict[Head, Callable[[_HeadWeights], None]] = {
    PREVIOUS: _previous,
    DIFFUSE: lambda head: None,  # no query, no key: every logit is 0, the attention uniform
    DUPLICATE: _duplicate,
    FIRST: _rest_on_first,
    THREE_BACK: lambda head: _look_back(head, 3),
    MIXTURE: _mixture,
    INDUCTION: _induction,
    SELF: lambda head: _look_back(head, 0),
}


def _undo(norm: nn.LayerNorm, ones: int) -> None:
    """Make a layer norm the identity on a stream that holds `ones` ones and zeros otherwise."""
    mean = ones / WIDTH
    variance = mean - mean**2
    norm.weight.fill_((variance + norm.eps) ** 0.5)
    norm.bias.fill_(mean)


def build_model() -> GPT2LMHeadModel:
    """4 layers of 2 heads; see the constants above for which head is what."""
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=N_TOKENS,
            n_positions=N_POSITIONS,
            n_embd=WIDTH,
            n_layer=N_LAYERS,
            n_head=N_HEADS,
            n_inner=4,
            tie_word_embeddings=False,
            bos_token_id=0,
            eos_token_id=0,
        )
    )
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.fill_(1.0 if ".ln_" in name and name.endswith("weight") else 0.0)
        model.transformer.wte.weight[:, TOKEN] = torch.eye(N_TOKENS)
        model.transformer.wpe.weight[:, POSITION] = torch.eye(N_POSITIONS)
        for layer, block in enumerate(model.transformer.h):
            # Token and position; from layer 1 on also the token before.
            _undo(block.ln_1, ones=2 if layer == 0 else 3)  # pyright: ignore[reportArgumentType]
        for (layer, head), construct in _CONSTRUCTION.items():
            construct(_HeadWeights(model.transformer.h[layer].attn, head))  # pyright: ignore[reportArgumentType]
        # About 18 for the expected character: 1 / sqrt(variance) is near 10.
        model.lm_head.weight[1:, NEXT] = 2 * torch.eye(N_TOKENS)[1:]
    return model.eval()


def save_hand_built(folder: Path) -> Path:
    """Save the model and its tokenizer in Hugging Face layout; returns the folder."""
    build_model().save_pretrained(folder)
    build_tokenizer().save_pretrained(folder)
    return folder
