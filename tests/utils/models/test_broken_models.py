"""Every kind of bad folder gives one sentence."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fixtures.model_folders import (
    edit_config,
    edit_index,
    edit_weights,
    layers_key,
    only_pickle,
    shard,
    truncate,
)
from utils.errors import UserFacingError
from utils.models.files import looks_like_model
from utils.models.loading import load_model
from utils.models.sources import find_model

# What is done to the folder, and a word that the sentence must have.
BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (shutil.rmtree, "missing"),
    "a file in its place": (lambda f: (shutil.rmtree(f), f.write_text("x")), "missing"),
    "no config": (lambda f: (f / "config.json").unlink(), "no config.json"),
    "broken json": (lambda f: (f / "config.json").write_text('{"model_type": '), "config.json"),
    "json of another kind": (lambda f: (f / "config.json").write_text("[1, 2]"), "config.json"),
    "config not in utf-8": (lambda f: (f / "config.json").write_bytes(b'{"\xff": 1}'), "config.json"),
    "deeply nested config": (lambda f: (f / "config.json").write_text("[" * 100_000), "config.json"),
    "config with a wrong type": (lambda f: edit_config(f, vocab_size="many"), "do not fit"),
    "unknown family": (lambda f: edit_config(f, model_type="bert"), "bert"),
    "no family": (lambda f: edit_config(f, model_type=None), "no model type"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "no weights"),
    "pickled weights alone": (only_pickle, "PyTorch's own format"),
    "truncated weights": (lambda f: truncate(f / "model.safetensors"), "damaged"),
    "empty weights": (lambda f: (f / "model.safetensors").write_bytes(b""), "damaged"),
    "index without its shards": (
        lambda f: (f / "model.safetensors").rename(f / "model.safetensors.index.json"),
        "damaged",
    ),
    "weights of another shape": (lambda f: edit_config(f, vocab_size=77), "do not fit"),
    "a weight missing": (lambda f: edit_weights(f, lambda w: w.pop(sorted(w)[3])), "lacks 1 of its weights"),
    "a layer missing": (lambda f: edit_config(f, **{layers_key(f): 6}), "of its weights"),
    "a weight not a number": (
        lambda f: edit_weights(f, lambda w: w[sorted(w)[3]].fill_(float("nan"))),
        "not numbers",
    ),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "no tokenizer"),
    "broken tokenizer": (lambda f: truncate(f / "tokenizer.json"), "tokenizer"),
    "json that is no tokenizer": (lambda f: (f / "tokenizer.json").write_text('{"a": 1}'), "tokenizer"),
    "tokenizer with more tokens than the model": (
        lambda f: (f / "tokenizer.json").write_text(
            (f / "tokenizer.json").read_text(encoding="utf-8").replace('": 319', '": 4000'), encoding="utf-8"
        ),
        "4000",
    ),
    "huge config": (lambda f: edit_config(f, padding="x" * 2_000_000), "config.json"),
    "config that is a link to itself": (
        lambda f: ((f / "config.json").unlink(), (f / "config.json").symlink_to(f / "config.json")),
        "config.json",
    ),
    "a classifier": (
        lambda f: edit_config(f, architectures=["LlamaForSequenceClassification"]),
        "is a LlamaForSequenceClassification, which does not predict the next token",
    ),
    "a model that tags tokens": (
        lambda f: edit_config(f, architectures=["GPT2ForTokenClassification"]),
        "GPT2ForTokenClassification",
    ),
    "attention in both directions": (lambda f: edit_config(f, is_causal=False), "is not causal"),
    "a GGUF file alone": (
        lambda f: (shutil.rmtree(f), f.mkdir(), (f / "model-q8_0.gguf").write_bytes(b"GGUF")),
        "is a GGUF file (model-q8_0.gguf)",
    ),
    "a GGUF file for weights": (
        lambda f: (f / "model.safetensors").rename(f / "model.gguf"),
        "is a GGUF file (model.gguf)",
    ),
    "an adapter alone": (
        lambda f: (
            (f / "model.safetensors").rename(f / "adapter_model.safetensors"),
            (f / "config.json").rename(f / "adapter_config.json"),
        ),
        "holds an adapter alone",
    ),
    "the settings of an adapter alone": (
        lambda f: (shutil.rmtree(f), f.mkdir(), (f / "adapter_config.json").write_text("{}")),
        "holds an adapter alone",
    ),
    "quantized weights": (
        lambda f: edit_config(f, quantization_config={"quant_method": "gptq"}),
        "quantized",
    ),
    "a million layers": (
        lambda f: edit_config(f, **{layers_key(f): 1_000_000}),
        "do not fit",
    ),
    "a billion tokens": (lambda f: edit_config(f, vocab_size=10**9), "do not fit"),
    "a negative number of tokens": (lambda f: edit_config(f, vocab_size=-5), "do not fit"),
    **{
        f"{heads!r} heads": (
            lambda f, heads=heads: edit_config(f, n_head=heads, num_attention_heads=heads),
            "do not fit",
        )
        for heads in (-1, 0, 3, "four", 2.0, True, None, [4], 10**9, 10**400)
    },
    **{
        f"a width of {width!r}": (
            lambda f, width=width: edit_config(f, n_embd=width, hidden_size=width),
            "do not fit",
        )
        for width in (-16, 0, "wide", 10**12)
    },
    "no positions": (
        lambda f: edit_config(f, n_positions=0, max_position_embeddings=-1),
        "do not fit",
    ),
    "a weight file elsewhere": (
        lambda f: (shard(f), edit_index(f, lambda name: f"../../{name}")),
        "model.safetensors.index.json",
    ),
    "a weight file by its full path": (
        lambda f: (shard(f), edit_index(f, lambda name: str(f / name))),
        "model.safetensors.index.json",
    ),
    "a weight file with a strange name": (
        lambda f: (shard(f), edit_index(f, lambda name: f"\0{name}")),
        "model.safetensors.index.json",
    ),
    "a pickle in the list of weights": (
        lambda f: (shard(f), edit_index(f, lambda name: "pytorch_model.bin")),
        "model.safetensors.index.json",
    ),
    "a list of weights of another kind": (
        lambda f: (shard(f), edit_index(f, lambda name: 7)),
        "model.safetensors.index.json",
    ),
    "a shard missing": (lambda f: shard(f)[-1].unlink(), "00002-of-"),
    "a shard cut short": (lambda f: truncate(shard(f)[-1]), "00002-of-"),
    "code of its own": (
        lambda f: (
            (f / "evil.py").write_text("raise SystemExit('code from the folder was run')"),
            edit_config(
                f, model_type="evil", auto_map={"AutoConfig": "evil.C", "AutoModelForCausalLM": "evil.M"}
            ),
        ),
        "evil",
    ),
}


@pytest.mark.parametrize("model_type", ["gpt2", "llama"])
@pytest.mark.parametrize(("break_folder", "word"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_folder_gives_one_sentence(
    copied_model: Callable[[str], Path],
    capfd: pytest.CaptureFixture[str],
    model_type: str,
    break_folder: Callable[[Path], object],
    word: str,
) -> None:
    folder = copied_model(model_type)
    break_folder(folder)
    with pytest.raises(UserFacingError) as caught:
        load_model("mine", folder)
    assert word in caught.value.message
    for sentence in (caught.value.message, caught.value.remedy):
        assert sentence.endswith(".") and "\n" not in sentence and len(sentence) < 200
        assert str(folder) not in sentence
    # What transformers has to say goes to our log, not to the console.
    printed = capfd.readouterr()
    assert printed.out == printed.err == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"num_key_value_heads": -1},
        {"num_key_value_heads": 3},
        {"num_key_value_heads": "two"},
        {"head_dim": -4},
        {"head_dim": 0},
        {"head_dim": 10**9},
    ],
)
def test_bad_shared_keys_and_widths_are_refused_in_one_sentence(
    copied_model: Callable[[str], Path], changes: dict[str, object]
) -> None:
    folder = copied_model("llama")
    edit_config(folder, **changes)
    with pytest.raises(UserFacingError, match=r"do not fit its config\.json"):
        load_model("mine", folder)


def test_a_list_of_weights_cannot_reach_another_folder(
    copied_model: Callable[[str], Path], tmp_path: Path
) -> None:
    """Also where the file it names is there and would load."""
    folder = copied_model("gpt2")
    for path in shard(folder):
        path.rename(tmp_path / path.name)
    edit_index(folder, lambda name: f"../{name}")
    with pytest.raises(UserFacingError, match="list of weights"):
        load_model("m", folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"architectures": ["LlamaForCausalLM"]},
        {"architectures": ["GPT2LMHeadModel"]},
        {"architectures": ["GPT2DoubleHeadsModel"]},
        {"architectures": None},
        {"architectures": "ForSequenceClassification"},
        {"architectures": [7]},
        {"is_causal": True},
    ],
)
def test_other_words_of_a_config_do_not_keep_a_model_from_loading(
    copied_model: Callable[[str], Path], changes: dict[str, object]
) -> None:
    folder = copied_model("llama")
    edit_config(folder, **changes)
    assert load_model("m", folder)


def test_a_whole_model_with_an_adapter_or_a_gguf_file_beside_it_loads(
    copied_model: Callable[[str], Path],
) -> None:
    folder = copied_model("gpt2")
    (folder / "model.gguf").write_bytes(b"GGUF")
    (folder / "adapter_config.json").write_text("{}")
    assert load_model("m", folder)


def test_the_remedy_says_what_to_do_with_an_adapter_and_with_a_gguf_file(tmp_path: Path) -> None:
    for file, words in (
        ("adapter_model.safetensors", ("merge_and_unload()", "save_pretrained()")),
        ("x.gguf", ("scripts/unpack_gguf.py FILE --output DIR",)),
    ):
        folder = tmp_path / file.partition(".")[2]
        folder.mkdir()
        (folder / file).write_bytes(b"")
        # Such a folder is listed in the menu, and says what to do when it is chosen.
        assert looks_like_model(folder)
        with pytest.raises(UserFacingError) as caught:
            load_model("mine", folder)
        assert all(word in caught.value.remedy for word in words)
    with pytest.raises(UserFacingError, match=r"scripts/unpack_gguf\.py"):
        find_model(str(tmp_path / "gguf" / "x.gguf"))
