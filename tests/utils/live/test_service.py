"""The live entry point: the same answer whatever was asked before, and by whom."""

import random
import shutil
import threading
import weakref
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from scripts.analyze_heads import main as analyze_heads
from tests.fixtures.catalogs import make_catalog, write_catalog
from tests.fixtures.makers.tiny_models import save_gpt2_with_context
from utils.catalog.catalog import load_catalog, save_catalog
from utils.effects.continuation import PairGenerator, WritingOptions
from utils.errors import UserFacingError
from utils.forward.ablation import ABLATION_MODES, AblationMode
from utils.forward.attention_capture import capture
from utils.head_detection import get_active_head_summary
from utils.heads import Head
from utils.live import service as live_service
from utils.live.analysis import LiveAnalysis
from utils.live.service import LiveService
from utils.models.files import WeightFile, weights_digest
from utils.models.limits import MAX_TOKENS_LIMIT
from utils.models.store import ModelStore
from utils.roles.activity import as_record
from utils.roles.registry import measured_roles, pattern_roles
from utils.roles.scores import role_score
from utils.writing.live_outputs import written_on

# Long enough that no product rounds otherwise in one kind of forward than in another (`MIN_PRODUCT_ROWS`).
TEXT = "The cat sat on the mat. The cat sat on the mat. The cat sat on the"
OTHER = "One day a little girl went to the park."
GPT2, LLAMA = "tiny-gpt2", "tiny-llama"
LISTED = {"induction": [(Head(1, 2), 0.6)], "previous_token": [(Head(0, 1), 0.5)]}


@pytest.fixture(scope="module")
def store(tiny_models_folder: Path) -> ModelStore:
    return ModelStore([tiny_models_folder])


@pytest.fixture
def catalogs(tmp_path: Path) -> Path:
    """A catalog for the tiny GPT-2; none for the tiny Llama."""
    write_catalog(tmp_path, GPT2, 3, 4, LISTED)
    return tmp_path


@pytest.fixture
def service(store: ModelStore, catalogs: Path) -> LiveService:
    return LiveService(store, catalogs)


def assert_close(one: Tensor, two: Tensor) -> None:
    """One position's logits alone round otherwise than those of all (`forward/chosen_logits.py`)."""
    torch.testing.assert_close(one, two, rtol=0, atol=1e-5)


def assert_same(one: LiveAnalysis, two: LiveAnalysis) -> None:
    assert one.prompt == two.prompt and one.listed == two.listed
    assert torch.equal(one.attention, two.attention) and torch.equal(one.logits, two.logits)
    assert all(torch.equal(one.scores.live[role], two.scores.live[role]) for role in measured_roles())


def test_an_analysis_is_what_its_parts_say(service: LiveService, catalogs: Path) -> None:
    analysis = service.analyze(GPT2, TEXT)
    loaded, ids = analysis.loaded, analysis.prompt.ids
    plain = capture(loaded, ids)
    assert analysis.prompt == service.tokenize(GPT2, TEXT)
    assert torch.equal(analysis.attention, plain.attention)
    assert analysis.attention.shape == (3, 4, len(ids), len(ids))
    assert_close(analysis.logits, plain.logits[-1])
    for role in pattern_roles():
        expected = role_score(role, plain.attention, ids, loaded.special_ids)
        torch.testing.assert_close(analysis.scores.live[role], expected)
    written = written_on(loaded, ids, capture(loaded, ids, stream=True))
    assert written is not None and analysis.stream is not None
    effects = written.effects(slice(None))
    outputs = {"effects": effects, "next_token": written.answer}
    data = {"attention": plain.attention, "tokens": list(ids), "outputs": outputs}
    records = {role: [as_record(one) for one in heads] for role, heads in analysis.listed.items()}
    assert records == get_active_head_summary(data, GPT2, catalogs)
    assert analysis.catalog is not None and analysis.catalog_problem == ""


def test_the_cache_changes_no_result(
    store: ModelStore, catalogs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = LiveService(store, catalogs)
    fresh, logits = first.analyze(GPT2, TEXT), first.next_token_logits(GPT2, TEXT, {Head(0, 1)})
    assert_same(first.analyze(GPT2, TEXT), fresh)
    # Room for about one prompt: each new one pushes the one before out.
    monkeypatch.setattr(live_service, "CACHE_BYTES", 16 * 1024)
    small = LiveService(store, catalogs)
    for text in (TEXT, OTHER, TEXT, *(f"{number} cats" for number in range(8)), TEXT):
        analysis = small.analyze(GPT2, text)
        if text == TEXT:
            assert_same(analysis, fresh)
        changed = small.next_token_logits(GPT2, text, {Head(0, 1)})
        if text == TEXT:
            assert torch.equal(changed, logits)


def test_a_result_larger_than_the_cache_is_computed_each_time(
    store: ModelStore, catalogs: Path, service: LiveService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_service, "CACHE_BYTES", 1300 * 4)
    tiny = LiveService(store, catalogs)
    for text in ("a", TEXT):
        assert_same(tiny.analyze(GPT2, text), service.analyze(GPT2, text))


def test_ablated_and_clean_results_never_mix(service: LiveService) -> None:
    loaded = service.store.get(GPT2)
    ids = service.tokenize(GPT2, TEXT).ids
    sets = [set(), {Head(0, 1)}, {Head(0, 1), Head(2, 3)}, {Head(2, 3)}, {Head(1, 0)}]
    expected = [capture(loaded, ids, heads, last_only=True).logits[-1] for heads in sets]
    for _ in range(2):
        for heads, logits in zip(sets, expected, strict=True):
            assert torch.equal(service.next_token_logits(GPT2, TEXT, heads), logits)
    assert torch.equal(service.analyze(GPT2, TEXT).logits, expected[0])
    distances = [float((logits - expected[0]).abs().max()) for logits in expected[1:]]
    assert min(distances) > 1e-3
    # The order in which heads are named does not matter.
    both = service.next_token_logits(GPT2, TEXT, [Head(2, 3), Head(0, 1)])
    assert torch.equal(both, expected[2])


def test_zero_and_mean_ablation_never_mix(service: LiveService) -> None:
    loaded = service.store.get(GPT2)
    ids = service.tokenize(GPT2, TEXT).ids
    heads = {Head(0, 1), Head(1, 2)}
    expected: dict[AblationMode, Tensor] = {
        mode: capture(loaded, ids, heads, mode).logits for mode in ABLATION_MODES
    }
    assert (expected["zero"][-1] - expected["mean"][-1]).abs().max() > 1e-3
    for _ in range(2):
        for mode, logits in expected.items():
            assert_close(service.next_token_logits(GPT2, TEXT, heads, mode), logits[-1])
            assert torch.equal(service.position_logits(GPT2, TEXT, heads, mode), logits)
    for mode in ABLATION_MODES:
        # With nothing off there is nothing to put anywhere.
        assert torch.equal(
            service.next_token_logits(GPT2, TEXT, (), mode), service.analyze(GPT2, TEXT).logits
        )
    for ask in (service.next_token_logits, service.position_logits):
        with pytest.raises(UserFacingError, match="not a way to ablate heads"):
            ask(GPT2, TEXT, heads, "half")  # pyright: ignore[reportArgumentType]


def test_the_logits_of_all_positions(
    store: ModelStore, catalogs: Path, service: LiveService, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = service.store.get(GPT2)
    ids = service.tokenize(GPT2, TEXT).ids
    clean = service.position_logits(GPT2, TEXT)
    assert torch.equal(clean, capture(loaded, ids).logits) and clean.shape[0] == len(ids)
    assert service.position_logits(GPT2, TEXT) is clean
    assert service.position_logits(GPT2, TEXT, [], "mean") is clean
    off = service.position_logits(GPT2, TEXT, [Head(2, 3), Head(0, 1)])
    assert service.position_logits(GPT2, TEXT, {Head(0, 1), Head(2, 3)}) is off
    assert_close(off[-1], service.next_token_logits(GPT2, TEXT, {Head(0, 1), Head(2, 3)}))
    # With room for two results the third pushes the first out; with room for none each is computed anew.
    for room, cached in ((2, False), (0, False), (3, True)):
        monkeypatch.setattr(live_service, "CACHE_BYTES", room * clean.nbytes + 16)
        small = LiveService(store, catalogs)
        first = small.position_logits(GPT2, TEXT)
        small.position_logits(GPT2, TEXT, {Head(0, 1)})
        small.position_logits(GPT2, TEXT, {Head(0, 2)})
        again = small.position_logits(GPT2, TEXT)
        assert torch.equal(again, clean) and (again is first) == cached


def test_the_logits_of_one_position(service: LiveService) -> None:
    heads, last = {Head(0, 1), Head(1, 2)}, len(service.tokenize(GPT2, TEXT).ids) - 1
    for mode in ABLATION_MODES:
        every = service.position_logits(GPT2, TEXT, heads, mode)
        for position in (0, 3, last):
            assert_close(service.logits_at(GPT2, TEXT, position, heads, mode), every[position])
    assert torch.equal(service.logits_at(GPT2, TEXT, last), service.analyze(GPT2, TEXT).logits)


@pytest.mark.parametrize("mode", ABLATION_MODES)
def test_an_analysis_with_heads_ablated(service: LiveService, mode: AblationMode) -> None:
    """Layers up to the ablated head's own look as before, later ones do not; the clean one stays."""
    clean = service.analyze(GPT2, TEXT)
    ablated = service.analyze_ablated(GPT2, TEXT, {Head(1, 2)}, mode)
    forward = capture(clean.loaded, clean.prompt.ids, {Head(1, 2)}, mode)
    assert torch.equal(ablated.attention, forward.attention)
    assert_close(ablated.logits, forward.logits[-1])
    assert [entry.head for entry in ablated.listed["induction"]] == [Head(1, 2)]
    assert ablated.catalog is clean.catalog
    torch.testing.assert_close(ablated.attention[:2], clean.attention[:2], atol=1e-6, rtol=0)
    for role in pattern_roles():
        live = ablated.scores.live[role]
        torch.testing.assert_close(live[:2], clean.scores.live[role][:2], atol=1e-5, rtol=0)
        assert live[2] == pytest.approx(role_score(role, forward.attention, ablated.prompt.ids)[2], abs=1e-5)
    assert (ablated.attention[2] - clean.attention[2]).abs().max() > 1e-3
    assert service.analyze(GPT2, TEXT) is clean
    with pytest.raises(UserFacingError, match="L9H0 is not a head of tiny-gpt2"):
        service.analyze_ablated(GPT2, TEXT, {Head(9, 0)}, mode)
    assert_same(service.analyze_ablated(GPT2, TEXT, (), mode), clean)


def test_models_do_not_share_results(service: LiveService) -> None:
    one, two = service.analyze(GPT2, TEXT), service.analyze(LLAMA, TEXT)
    assert one.attention.shape[:2] == (3, 4) and two.attention.shape[:2] == (4, 6)
    heads = {Head(0, 0)}
    assert not torch.equal(
        service.next_token_logits(GPT2, TEXT, heads), service.next_token_logits(LLAMA, TEXT, heads)
    )


def test_many_users_at_once_each_see_their_own(store: ModelStore, catalogs: Path) -> None:
    """Threads with texts, models and ablations of their own, in a random order, with room for few results."""
    wishes = [
        (model, text, frozenset(heads))
        for model in (GPT2, LLAMA)
        for text in (TEXT, OTHER)
        for heads in ((), (Head(0, 1),), (Head(1, 2), Head(2, 0)))
    ]
    alone = LiveService(store, catalogs)
    expected: dict[object, tuple[Tensor, Tensor]] = {
        wish: (alone.analyze(*wish[:2]).attention, alone.next_token_logits(*wish)) for wish in wishes
    }
    shared = LiveService(store, catalogs)
    wrong: list[object] = []

    def user(seed: int) -> None:
        rng = random.Random(seed)
        try:
            for wish in rng.choices(wishes, k=12):
                model, text, heads = wish
                analysis = shared.analyze(model, text)
                logits = shared.next_token_logits(model, text, heads)
                attention, right = expected[wish]
                if analysis.prompt.text != text or analysis.loaded.name != model:
                    wrong.append(wish)
                if not torch.equal(analysis.attention, attention) or not torch.equal(logits, right):
                    wrong.append(wish)
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=user, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_texts_of_the_same_tokens_keep_their_own_text(service: LiveService) -> None:
    assert service.analyze(GPT2, "a cat").prompt.text == "a cat"
    assert service.analyze(GPT2, "a  cat").prompt.text == "a  cat"


def test_the_cap_is_the_services(store: ModelStore, catalogs: Path) -> None:
    short = LiveService(store, catalogs, max_tokens=4)
    for call in (
        lambda: short.analyze(GPT2, TEXT),
        lambda: short.tokenize(GPT2, TEXT),
        lambda: short.next_token_logits(GPT2, TEXT, set()),
    ):
        with pytest.raises(UserFacingError, match="the limit is 4"):
            call()


def test_what_cannot_be_analyzed_is_said_and_the_next_prompt_works(service: LiveService) -> None:
    with pytest.raises(UserFacingError, match="tiny-gpt2, tiny-llama"):
        service.analyze("gpt5", TEXT)
    with pytest.raises(UserFacingError, match="empty"):
        service.analyze(GPT2, "")
    with pytest.raises(UserFacingError, match="L9H9 is not a head of tiny-gpt2"):
        service.next_token_logits(GPT2, TEXT, {Head(9, 9)})
    assert service.analyze(GPT2, TEXT).prompt.text == TEXT


def test_a_one_word_prompt_has_numbers_everywhere(service: LiveService) -> None:
    analysis = service.analyze(GPT2, "a")
    assert len(analysis.prompt.ids) == 2
    for scores in analysis.scores.live.values():
        assert not bool(scores.any())
    for entries in analysis.listed.values():
        assert all(entry.sink_share == 0 and not entry.is_active for entry in entries)


def test_a_missing_damaged_or_foreign_catalog_is_a_sentence_and_the_rest_works(
    store: ModelStore, tmp_path: Path
) -> None:
    service = LiveService(store, tmp_path)
    missing = service.analyze(GPT2, TEXT)
    assert missing.catalog is None and missing.listed == {} and service.catalog(GPT2) is None
    assert "scripts/analyze_heads.py --model tiny-gpt2" in missing.catalog_problem
    path = tmp_path / "tiny-gpt2.json"
    path.write_text("{", encoding="utf-8")
    assert "tiny-gpt2.json is damaged" in service.analyze(GPT2, TEXT).catalog_problem
    write_catalog(tmp_path, GPT2, 5, 5, {})
    assert "5 layers x 5 heads, this model has 3 x 4" in service.analyze(GPT2, TEXT).catalog_problem
    # A catalog that is put right is seen without a restart, and one that goes away is gone.
    write_catalog(tmp_path, GPT2, 3, 4, LISTED)
    mended = service.analyze(GPT2, TEXT)
    assert mended.catalog_problem == "" and mended.listed["induction"][0].head.layer == 1
    assert service.catalog(GPT2) == mended.catalog
    path.unlink()
    assert service.analyze(GPT2, TEXT).catalog is None
    assert service.analyze(LLAMA, TEXT).catalog is None


def _save_with_digest(folder: Path, digest: str) -> None:
    catalog = make_catalog(GPT2, 3, 4, LISTED)
    settings = catalog.settings.model_copy(update={"weights_sha256": digest})
    save_catalog(catalog.model_copy(update={"settings": settings}), folder)


def _change_weights(path: Path) -> str:
    """Put other numbers into a weight file; returns its digest."""
    save_file({name: tensor + 1 for name, tensor in load_file(path).items()}, path, {"format": "pt"})
    return weights_digest([WeightFile.at(path)])


@pytest.fixture
def one_of_own(tiny_models_folder: Path, tmp_path: Path) -> tuple[LiveService, Path]:
    """A service of copied models, of which one at a time is loaded, and the weights of the tiny GPT-2.

    Its catalog records them, and has been read.
    """
    shutil.copytree(tiny_models_folder, tmp_path / "models")
    service = LiveService(ModelStore([tmp_path / "models"], memory_budget=0), tmp_path / "catalogs")
    _save_with_digest(service.catalog_folder, weights_digest(service.store.get(GPT2).weight_files))
    assert service.analyze(GPT2, TEXT).catalog_problem == ""
    return service, tmp_path / "models" / GPT2 / "model.safetensors"


def test_a_catalog_of_weights_that_came_later_is_refused(one_of_own: tuple[LiveService, Path]) -> None:
    """What is loaded counts, not what lies on the disk by now."""
    service, weights = one_of_own
    _save_with_digest(service.catalog_folder, _change_weights(weights))
    assert "model.safetensors was changed after" in service.analyze(GPT2, TEXT).catalog_problem
    weights.unlink()
    _save_with_digest(service.catalog_folder, "0" * 64)
    assert "cannot be read again" in service.analyze(GPT2, TEXT).catalog_problem


def test_a_model_that_is_loaded_again_is_checked_again(one_of_own: tuple[LiveService, Path]) -> None:
    service, weights = one_of_own
    digest = _change_weights(weights)
    service.store.get(LLAMA)  # the other goes
    changed = service.analyze(GPT2, TEXT)
    assert not changed.listed and "was made with other weights" in changed.catalog_problem
    _save_with_digest(service.catalog_folder, digest)
    assert service.analyze(GPT2, TEXT).catalog_problem == ""


def test_catalogs_are_each_models_own(service: LiveService) -> None:
    assert service.analyze(GPT2, TEXT).listed and not service.analyze(LLAMA, TEXT).listed


def test_a_model_that_the_store_drops_is_really_freed(tiny_models_folder: Path, catalogs: Path) -> None:
    service = LiveService(ModelStore([tiny_models_folder], memory_budget=0), catalogs)
    service.analyze("tiny-gpt2", "The cat sat")
    service.next_token_logits("tiny-gpt2", "The cat sat", [Head(0, 0)])
    weight = weakref.ref(next(iter(service.store.get("tiny-gpt2").model.parameters())))
    assert weight() is not None
    service.analyze("tiny-llama", "The cat sat")
    assert weight() is None
    assert service.analyze("tiny-gpt2", "The cat sat").loaded is service.store.get("tiny-gpt2")


def test_a_model_that_reads_64_tokens_is_analyzed_and_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_gpt2_with_context(64, tmp_path / "models" / "small")
    catalogs = tmp_path / "catalogs"
    argv = ["--model", str(tmp_path / "models" / "small"), "--sequences", "3", "--output", str(catalogs)]
    assert analyze_heads(argv) == 0
    inputs = load_catalog(catalogs / "small.json").settings.inputs
    assert inputs["repeated"].longest == 51
    assert inputs["natural"].longest == inputs["word_lists"].longest == 64
    service = LiveService(ModelStore([tmp_path / "models"]), catalogs, max_tokens=MAX_TOKENS_LIMIT)
    analysis = service.analyze("small", "x" * 63)
    assert len(analysis.prompt.ids) == 64 and analysis.catalog is not None
    with pytest.raises(UserFacingError, match="has 65 tokens and the limit is 64"):
        service.analyze("small", "x" * 64)
    loaded, ids = analysis.loaded, analysis.prompt.ids
    options = WritingOptions(new_tokens=20)
    pair = PairGenerator(loaded, ids[:60], [Head(0, 0)], options=options).finish()
    assert {text.stop for text in (pair.clean, pair.ablated)} <= {"context", "end"}
    for mode in ABLATION_MODES:
        assert capture(loaded, ids, [Head(1, 1)], mode).logits.isfinite().all()
