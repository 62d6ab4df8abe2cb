"""analyze_prompt: the page's analysis from the command line, and what it says where there is none."""

import json
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any, get_args

import pytest
import torch

import utils.models.store
from callbacks.live.export_panel import ExportPanel
from scripts.analyze_prompt import FITS, MODES, build_parser, main
from tests.fixtures.analyze_command import ROOT
from tests.fixtures.hooks_by_hand import heads_put_by_hand
from tests.fixtures.preset_claims import LESSONS, PRESETS
from utils.effects.second_prompt import Fit
from utils.forward.ablation import ABLATION_MODES
from utils.heads import Head
from utils.live.analysis import LiveAnalysis
from utils.live.service import LiveService
from utils.models.hub_cache import Hub
from utils.models.limits import DEFAULT_MAX_TOKENS, MAX_TOKENS_LIMIT
from utils.roles.registry import measured_roles

MODEL = "demo-gpt2"
PROMPT = "The king gave the boy a golden ring, and the boy took the golden"
ASKED = ["--model", MODEL, "--prompt", PROMPT]
HEADS = [Head(0, 5), Head(1, 14)]


@pytest.fixture(scope="module")
def analysis(service: LiveService) -> LiveAnalysis:
    return service.analyze(MODEL, PROMPT)


def printed(argv: list[str], capsys: pytest.CaptureFixture[str]) -> Any:
    """The JSON on stdout of a command that ends with 0 and says nothing else."""
    assert main(argv) == 0
    out, err = capsys.readouterr()
    assert err == "" and out.endswith("}\n")
    return json.loads(out)


def refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on stderr of a command that ends with 1."""
    assert main(argv) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and err.startswith("analyze_prompt: ")
    return err.strip()


def of_the_page(service: LiveService, **held: Any) -> Any:
    """What the page's card "Export" saves for the same state."""
    panel = ExportPanel(service, lambda shown: None, lambda *shown: None, PRESETS, LESSONS)
    request: Any = {"request": {"model": MODEL, "prompt": PROMPT}, **held}
    file, _ = panel.download({"what": "analysis", "link": "", "answers": {}}, request)
    return json.loads(file["content"])


def test_the_roles_are_those_of_the_live_analysis(
    analysis: LiveAnalysis, capsys: pytest.CaptureFixture[str]
) -> None:
    data = printed(ASKED, capsys)
    assert [token["id"] for token in data["tokens"]] == list(analysis.prompt.ids)
    assert [token["label"] for token in data["tokens"]] == list(analysis.prompt.labels)
    assert list(data["roles"]) == list(measured_roles())
    for role, message in data["roles"].items():
        entries = analysis.listed[role]
        assert len(message["listed"]) == len(entries)
        # Nothing of a small model stays at the first token when there is something to find, nor holds back
        # what was there before.
        assert entries or role in ("positional", "copy_suppression")
        for shown, entry in zip(message["listed"], entries, strict=True):
            assert shown["head"] == str(entry.head)
            assert (shown["layer"], shown["number"]) == tuple(entry.head)
            assert shown["live_score"] == pytest.approx(entry.live, abs=1e-5)
            assert shown["catalog_score"] == pytest.approx(entry.catalog_score, abs=1e-5)
            assert shown["chance"] == (entry.chance and pytest.approx(entry.chance, abs=1e-5))
            assert (shown["active"], shown["reason"]) == (entry.is_active, entry.reason)
        unlisted = analysis.unlisted[role]
        assert [shown["head"] for shown in message["unlisted_active"]] == [
            str(other.head) for other in unlisted.heads
        ]
        assert message["unlisted_active_count"] == unlisted.count
    assert any(shown["active"] for shown in data["roles"]["induction"]["listed"])
    assert data["ablated"] is None and data["settings"]["position"] == len(analysis.prompt.ids) - 1
    assert data["versions"]["torch"] == torch.__version__


def test_the_prediction_is_the_models_own(
    service: LiveService, analysis: LiveAnalysis, capsys: pytest.CaptureFixture[str]
) -> None:
    """By a plain forward, without PyVene, at the last position and at one before."""
    with torch.inference_mode():
        logits = analysis.loaded.model(torch.tensor([analysis.prompt.ids])).logits[0]
    for position in (None, 3):
        data = printed([*ASKED, *(["--position", str(position)] if position else [])], capsys)
        best = logits[-1 if position is None else position].softmax(-1).topk(10)
        assert [row["rank"] for row in data["prediction"]] == list(range(1, 11))
        assert [row["id"] for row in data["prediction"]] == best.indices.tolist()
        shown = [row["probability"] for row in data["prediction"]]
        assert shown == pytest.approx(best.values.tolist(), rel=6e-3)
    data = printed(ASKED, capsys)
    assert data["prediction"][0]["token"] == " ring"
    assert data["prediction"][0]["id"] == int(service.next_token_logits(MODEL, PROMPT, ()).argmax())


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("position", [None, "9"])
def test_it_is_the_pages_export_of_the_same_state(
    service: LiveService, mode: str, position: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = [*ASKED, "--ablate", "L1H14, 0.5", "--mode", mode, "--target", " ring", "--against", "cup"]
    data = printed([*argv, *(["--position", position] if position else [])], capsys)
    page = of_the_page(
        service,
        off=[str(head) for head in HEADS],
        mode=mode,
        position=position,
        target="ring",
        against=" cup",
    )
    assert {**data, "made_at": None} == {**page, "made_at": None}
    assert data["settings"]["heads"] == data["ablated"]["heads"] == ["L0H5", "L1H14"]
    assert (data["settings"]["target"]["text"], data["settings"]["against"]["text"]) == (" ring", " cup")


def test_ablation_is_as_it_is_defined(analysis: LiveAnalysis, capsys: pytest.CaptureFixture[str]) -> None:
    """By hooks of the test's own."""
    argv = [*ASKED, "--ablate", "L0H5,L1H14", "--target", "ring", "--against", "cup"]
    ablated = printed(argv, capsys)["ablated"]
    ids = torch.tensor([analysis.prompt.ids])
    with torch.inference_mode(), heads_put_by_hand(analysis.loaded, [HEADS]):
        logits = analysis.loaded.model(ids).logits[0, -1]
    with torch.inference_mode():
        clean = analysis.loaded.model(ids).logits[0, -1]
    ring, cup = ablated["target"]["id"], ablated["against"]["id"]
    for side, values in (("clean", clean), ("ablated", logits)):
        share = float(values.softmax(-1)[ring])
        assert ablated["target"]["probability"][side] == pytest.approx(share, rel=1e-3)
        difference = float(values[ring] - values[cup])
        assert ablated["logit_difference"][side] == pytest.approx(difference, abs=1e-3)
    best = logits.softmax(-1).topk(10)
    assert [row["id"] for row in ablated["prediction"]] == best.indices.tolist()
    assert ablated["target"]["probability"]["ablated"] < ablated["target"]["probability"]["clean"] / 2


def test_a_file_gets_it_and_stdout_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "new" / "analysis.json"
    assert main([*ASKED, "--output", str(target)]) == 0
    assert capsys.readouterr() == ("", "")
    data = json.loads(target.read_text(encoding="utf-8"))
    assert {**data, "made_at": 0} == {**printed(ASKED, capsys), "made_at": 0}
    assert list(target.parent.iterdir()) == [target]


def test_a_folder_is_a_model_and_a_missing_catalog_is_a_note(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = [
        "--model",
        str(models / "tiny-llama"),
        "--prompt",
        "One day, one day",
        "--catalogs",
        str(tmp_path),
    ]
    assert main(argv) == 0
    out, err = capsys.readouterr()
    assert err.startswith(
        "analyze_prompt: no head is listed. There is no catalog of the heads of tiny-llama."
    )
    assert err.count("\n") == 1
    data = json.loads(out)
    assert data["model"]["name"] == data["settings"]["model"] == "tiny-llama"
    assert all(role["listed"] == [] for role in data["roles"].values())
    assert str(models) not in out


def test_catalogs_come_from_the_folder_that_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    catalog = json.loads((ROOT / "head_categories" / f"{MODEL}.json").read_text(encoding="utf-8"))
    del catalog["categories"]["induction"]["top_heads"][1:]
    (tmp_path / f"{MODEL}.json").write_text(json.dumps(catalog), encoding="utf-8")
    data = printed([*ASKED, "--catalogs", str(tmp_path)], capsys)
    assert len(data["roles"]["induction"]["listed"]) == 1


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (
            ["--ablate", "L9H0"],
            "L9H0 is not a head of demo-gpt2. Layers go from 0 to 3 and heads from 0 to 15.",
        ),
        (["--ablate", "L0H5,L0H16"], "L0H16 is not a head of demo-gpt2."),
        (["--position", "16"], "The prompt has no token 16. Its tokens are numbered from 0 to 15."),
        (["--max-tokens", "5"], "The prompt has 16 tokens and the limit is 5, the start token included."),
        (["--target", " "], "--target ' ' is no token."),
        (["--target", "ring", "--against", " ring"], "--against ' ring' is the watched token itself."),
        (["--against", "ring"], "--against 'ring' is the watched token itself."),
        (["--prompt", " "], "The prompt has only spaces in it."),
        (["--prompt", "a\udc80"], "Character 2 of the prompt is half of a character"),
        (["--prompt", "a" * 14000], "The prompt has 14,000 characters"),
        (["--model", "gpt 99"], "'gpt 99' is neither a bundled model"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    argv: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused([*ASKED, *argv], capsys).startswith(f"analyze_prompt: {sentence}")


def test_a_model_that_is_nowhere_or_broken_is_one_sentence(
    models: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(utils.models.store, "Hub", partial(Hub, tmp_path / "hub", "http://127.0.0.1:9"))
    error = refused([*ASKED, "--model", "no-such-model"], capsys)
    assert "no-such-model" in error and "the model hub cannot be reached" in error
    broken = shutil.copytree(models / "tiny-gpt2", tmp_path / "broken")
    (broken / "model.safetensors").unlink()
    assert "has no weights" in refused([*ASKED, "--model", str(broken)], capsys)
    assert "config.json" in refused([*ASKED, "--model", str(tmp_path)], capsys)


def test_too_little_memory_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*arguments: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(LiveService, "analyze", fail)
    assert "demo-gpt2 does not fit into the memory." in refused(ASKED, capsys)


def test_an_output_that_cannot_be_written_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("kept")
    for target, reason in ((tmp_path, "it is a folder"), (tmp_path / "file" / "new", "")):
        error = refused([*ASKED, "--output", str(target)], capsys)
        assert f"The analysis cannot go to {target}: {reason}" in error
    assert (tmp_path / "file").read_text() == "kept"


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        (["--model", MODEL], "--prompt"),
        (["--prompt", PROMPT], "--model"),
        ([*ASKED, "--ablate", "head5"], "'head5' is not the name of a head."),
        ([*ASKED, "--ablate", "L0H5,"], "--ablate"),
        ([*ASKED, "--mode", "half"], "--mode"),
        ([*ASKED, "--position", "-1"], "--position"),
        ([*ASKED, "--position", "last"], "--position"),
        ([*ASKED, "--max-tokens", "0"], "--max-tokens"),
        ([*ASKED, "--max-tokens", "2"], "must be from 3 to 256"),
        ([*ASKED, "--max-tokens", "257"], "must be from 3 to 256"),
        ([*ASKED, "--device", "tpu"], "--device"),
        ([*ASKED, "--device", "cuda:999"], "cuda:999"),
        ([*ASKED, "--dtype", "float16"], "float16"),
        ([*ASKED, "--colour", "red"], "--colour"),
    ],
)
def test_bad_usage_ends_with_2(argv: list[str], named: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(argv)
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert out == "" and named in err.splitlines()[-1]


def test_what_heads_write_is_that_of_the_live_analysis(
    service: LiveService, capsys: pytest.CaptureFixture[str]
) -> None:
    data = printed([*ASKED, "--target", " ring"], capsys)
    found = data["direct_effect"]
    target, against = found["token"]["id"], found["against"]["id"]
    model, text = data["settings"]["model"], data["settings"]["prompt"]
    direct = service.writing.direct(model, text, found["position"], target, against)
    assert found["token"]["text"] == " ring"
    assert [len(row) for row in found["heads"]] == [16] * 4 and len(found["mlps"]) == 4
    assert found["heads"][1][8] == pytest.approx(float(direct.heads[1, 8]), abs=1e-4)
    total = sum(map(sum, found["heads"])) + sum(found["mlps"]) + found["embedding"] + found["bias"]
    assert total == pytest.approx(found["logit_difference"], abs=1e-3)
    (first, *_) = data["promotes"]
    assert first["head"] == str(direct.strongest(1)[0]) and first["says"].startswith(first["head"])
    assert len(first["promoted"]) == len(first["suppressed"]) == 10
    assert first["promoted"][0]["logits"] > 0 > first["suppressed"][0]["logits"]


def test_heads_take_over_values_of_a_second_prompt(capsys: pytest.CaptureFixture[str]) -> None:
    second = "The king gave the boy a silver spoon, and the boy took the silver"
    data = printed([*ASKED, "--ablate", "L1H8,L1H9", "--second", second, "--fit", "align"], capsys)
    assert data["settings"]["mode"] == "interchange" and data["settings"]["second_prompt"] == second
    zero = printed([*ASKED, "--ablate", "L1H8,L1H9"], capsys)
    assert data["comparison"]["kl"] != zero["comparison"]["kl"]
    with pytest.raises(SystemExit):
        main([*ASKED, "--second", second])


def test_what_is_said_without_torch_is_so() -> None:
    assert MODES == ABLATION_MODES and get_args(Fit) == FITS
    text = " ".join(build_parser().format_help().split())
    assert f"{MAX_TOKENS_LIMIT} at most" in text and f"(default: {DEFAULT_MAX_TOKENS})" in text


def test_help_does_not_wait_for_torch() -> None:
    code = (
        "import sys; sys.argv = ['analyze_prompt.py', '--help']; import runpy\n"
        "try: runpy.run_path('scripts/analyze_prompt.py', run_name='__main__')\n"
        "except SystemExit as end: print(end.code, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 False", done.stderr


def test_as_a_process_its_stdout_is_the_json_alone(tmp_path: Path) -> None:
    """In UTF-8 whatever the locale; without TransformerLens; from any folder."""
    argv = [*ASKED, "--ablate", "L1H14", "--max-tokens", "64"]
    code = (
        f"import sys; sys.argv = ['analyze_prompt.py', *{argv!r}]; import runpy\n"
        f"try: runpy.run_path({str(ROOT / 'scripts' / 'analyze_prompt.py')!r}, run_name='__main__')\n"
        "except SystemExit as end: sys.exit(end.code or 3 * ('transformer_lens' in sys.modules))"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, env=environment)
    assert done.returncode == 0 and done.stderr == b""
    data = json.loads(done.stdout.decode("utf-8"))
    assert data["ablated"]["heads"] == ["L1H14"] and data["tokens"][2]["label"] == "·king"
