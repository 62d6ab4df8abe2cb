"""What tests do to the folder of a model: other weights, other settings, parts, damage."""

import json
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file


def edit_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edit_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def truncate(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def only_pickle(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def layers_key(folder: Path) -> str:
    return "n_layer" if "gpt2" in (folder / "config.json").read_text() else "num_hidden_layers"


def shard(folder: Path) -> list[Path]:
    """Part the weights into two files with an index; returns the files."""
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names, files = sorted(weights), []
    middle = len(names) // 2
    for number, part in enumerate((names[:middle], names[middle:]), start=1):
        files.append(folder / f"model-{number:05d}-of-00002.safetensors")
        save_file({name: weights[name] for name in part}, files[-1], metadata={"format": "pt"})
    weight_map = {name: files[index >= middle].name for index, name in enumerate(names)}
    index = {"metadata": {"total_size": 0}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return files


def edit_index(folder: Path, change: Callable[[str], object]) -> None:
    path = folder / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    index["weight_map"] = {key: change(name) for key, name in index["weight_map"].items()}
    path.write_text(json.dumps(index))
