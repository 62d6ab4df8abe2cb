"""A protocol is right, or says in one sentence what is wrong."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from retrieval.filings.tasks import MAIN_TASKS, TASKS
from retrieval.rankings.methods import RankingOptions
from study.data.protocol import DEFAULT_PROTOCOL, Protocol, load_protocol, parse_protocol, restricted
from utils.errors import UserFacingError


@pytest.fixture
def shipped() -> dict[str, Any]:
    return tomllib.loads(DEFAULT_PROTOCOL.read_text(encoding="utf-8"))


def test_the_shipped_protocol_is_what_the_study_promises() -> None:
    protocol = load_protocol()
    assert tuple(protocol.questions) == MAIN_TASKS
    assert tuple(protocol.ranking_questions) == tuple(TASKS)
    assert len(protocol.methods) == 3
    (model,) = protocol.models
    assert model.name == "smollm2-135m-instruct"
    assert protocol.settings(model) == [
        (256, "generated"), (512, "generated"), (512, "real"), (1024, "generated")
    ]  # fmt: skip
    assert protocol.stem is True and protocol.ablation.new_tokens == 24
    assert set(protocol.ablation.k_levels) == {0, 1, 2, 5, 10, 20, 30, 50}
    assert protocol.ablation.draws >= 5
    assert protocol.ablation.shared_min_tasks == 7
    assert (protocol.seed, protocol.resamples) == (42, 10_000)
    # At least 40 test samples a question at 256 tokens.
    at_256 = protocol.data_at(256, "generated")
    assert at_256.samples * (1 - at_256.train_share) >= 40
    assert protocol.claim is not None
    claim = protocol.claim
    assert (claim.share, claim.questions, claim.same_layers) == (0.05, 3, 0.8)
    assert (claim.method, claim.length, claim.control) == ("wu24", 256, "random_layer_matched")
    # Levels in a model of 270 heads: the claim's twentieth is among them.
    assert protocol.levels(270) == [1, 2, 5, 10, 14, 20, 30, 50]
    assert protocol.levels(20) == [1, 2, 5, 10]


def test_the_short_protocol_has_the_toy_models_and_compares_base_and_instruct() -> None:
    demo = load_protocol(DEFAULT_PROTOCOL.with_name("protocol-demo.toml"))
    assert [model.name for model in demo.models] == ["demo-llama", "demo-llama-instruct", "demo-gpt2"]
    assert demo.stem is False and demo.real is None
    assert (demo.data.train_share, demo.claim and demo.claim.share) == (0.8, 0.25)


def test_what_is_otherwise_at_a_length() -> None:
    protocol = load_protocol()
    longer, whole = protocol.ablation_at(512, "generated"), protocol.ablation_at(256, "generated")
    assert whole == protocol.ablation
    assert longer.k_levels == [0, 5, 30] and longer.draws == whole.draws
    real = protocol.data_at(512, "real")
    assert (real.source, real.window, real.train_share) == ("real", True, 0.5)
    assert real.truth == "../shared/filings/truth.csv"
    assert protocol.tasks("real") == protocol.questions
    assert protocol.tasks("generated") == protocol.ranking_questions


def test_the_protocol_for_a_large_model_asks_the_same_of_it() -> None:
    large, small = load_protocol(DEFAULT_PROTOCOL.with_name("protocol-8b.toml")), load_protocol()
    assert (large.questions, large.methods) == (small.questions, small.methods)
    assert large.ranking == small.ranking
    assert {model.device for model in large.models} == {"cuda"}
    assert large.levels(1024) == [1, 2, 5, 10, 20, 30, 40, 50, 51]


def test_ranking_options_have_the_same_names_and_defaults() -> None:
    assert RankingOptions(**load_protocol().ranking.model_dump()) == RankingOptions()


Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda p: p.update(sead=1), "unknown key 'sead'. Known there: seed, models"),
        (
            lambda p: p["ablation"].update(k_lvels=p["ablation"].pop("k_levels")),
            "unknown key 'ablation.k_lvels'.",
        ),
        (lambda p: p["ablation"].update(drws=5), "unknown key 'ablation.drws'. Known there: mode, k_levels"),
        (
            lambda p: p["models"][0].update(lenghts=[1]),
            "'models.0.lenghts'. Known there: name, path, lengths",
        ),
        (lambda p: p["claim"].update(modell="x"), "'claim.modell'. Known there: model, method"),
        (lambda p: p.pop("methods"), "lacks 'methods'"),
        (lambda p: p["methods"].append("magic"), "methods names 'magic', which is no method"),
        (lambda p: p["ranking_questions"].append("ceo"), "ranking_questions names 'ceo', which is no task"),
        (lambda p: p["questions"].append("ceo"), "questions names 'ceo', which is no task of ranking_quest"),
        (lambda p: p["methods"].append("wu24"), "methods names something twice"),
        (lambda p: p["models"].append(p["models"][0]), "'smollm2-135m-instruct' stands twice"),
        (lambda p: p["ablation"].update(draws=-1), "ablation.draws"),
        (lambda p: p["ablation"].update(draws=4), "greater than or equal to 5, got '4'"),
        (lambda p: p["ablation"].update(k_levels=[-1]), "at ablation.k_levels.0"),
        (lambda p: p["ablation"].update(shared_min_tasks=10), "only 9 ranking_questions"),
        (lambda p: p["data"].update(samples=0), "data.samples"),
        (lambda p: p["data"].update(source="real"), "need both 'truth' and 'texts'"),
        (lambda p: p["claim"].update(model="demo"), "claim.model names 'demo'"),
        (lambda p: p["claim"].update(method="reasoning"), "claim.method names 'reasoning'"),
        (lambda p: p["claim"].update(length=64), "claim.length is 64"),
        (lambda p: p["claim"].update(share=0.6), "less than or equal to 0.5, got '0.6'"),
        (lambda p: p["claim"].update(questions=5), "claim.questions is 5"),
        (lambda p: p["at"][0].update(length=300), "at names 300 tokens of generated filings"),
        (lambda p: p["real"].update(lengths=[128]), "at names 512 tokens of real filings"),
        (lambda p: p.update(seed="42"), "wrong at seed"),
    ],
)
def test_a_mistake_is_one_sentence(shipped: dict[str, Any], change: Change, said: str) -> None:
    change(shipped)
    with pytest.raises(UserFacingError) as caught:
        parse_protocol(shipped)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_file_that_is_no_protocol(tmp_path: Path) -> None:
    with pytest.raises(UserFacingError, match="There is no protocol"):
        load_protocol(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("seed = \n", encoding="utf-8")
    with pytest.raises(UserFacingError, match="is not TOML"):
        load_protocol(tmp_path / "bad.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UserFacingError, match="is not TOML"):
        load_protocol(tmp_path / "bytes.toml")
    with pytest.raises(UserFacingError, match="cannot be read"):
        load_protocol(tmp_path)


def test_what_a_command_line_changes() -> None:
    protocol = load_protocol(DEFAULT_PROTOCOL.with_name("protocol-demo.toml"))
    small = restricted(protocol, models=["demo-gpt2"], max_samples=10, device="cuda", dtype="bfloat16")
    (model,) = small.models
    assert (model.name, model.device, model.dtype) == ("demo-gpt2", "cuda", "bfloat16")
    assert small.data.samples == 10
    assert small.claim is None
    assert restricted(protocol) == protocol
    assert restricted(protocol, max_samples=1000).data.samples == protocol.data.samples
    with pytest.raises(UserFacingError, match=r"no model 'x' in the protocol\. Choose among: demo-llama,"):
        restricted(protocol, models=["x"])
    with pytest.raises(UserFacingError, match="cannot be split"):
        restricted(protocol, max_samples=1)


def test_a_piece_of_the_study() -> None:
    protocol = load_protocol()
    longer = restricted(protocol, lengths=[512], filings="elsewhere", max_samples=10)
    assert longer.settings(longer.models[0]) == [(512, "generated"), (512, "real")]
    assert longer.data_at(512, "real").truth == "elsewhere/truth.csv"
    assert {longer.data_at(512, kind).samples for kind in ("generated", "real")} == {10}
    # Nothing but how many samples there are differs from the whole.
    assert longer.ablation_at(512, "real") == protocol.ablation_at(512, "real")
    claim = restricted(protocol, claim_only=True)
    assert claim.settings(claim.models[0]) == [(256, "generated")]
    assert claim.ranking_questions == claim.questions
    with pytest.raises(UserFacingError, match="no prompts of 7 tokens"):
        restricted(protocol, lengths=[7])


def test_every_value_is_explained() -> None:
    text = DEFAULT_PROTOCOL.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(text):
        if " = " in line and not line.startswith("#"):
            near = [line, *text[max(0, number - 3) : number]]
            assert any("#" in one for one in near), line
    assert isinstance(load_protocol(), Protocol)
