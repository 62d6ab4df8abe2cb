"""What heads write on a prompt, as the page asks for it: no further forward, and kept."""

import pytest
import torch

from tests.fixtures.forward_counter import counting_forwards
from utils.effects.effect_map import effect_map
from utils.effects.total_and_direct import READINGS
from utils.errors import UserFacingError
from utils.forward.ablation import INTERCHANGE
from utils.heads import Head
from utils.live.map_views import MapSource, map_values, map_view
from utils.live.service import LiveService
from utils.writing.attribution import direct_effect

MODEL = "demo-gpt2"
TEXT = "One day a girl named Lily went to the park. One day a girl named"
SECOND = "One day a boy named Tim went to the shop. One day a boy named"
HEAD = Head(1, 8)


def test_nothing_but_the_estimate_runs_the_model_and_all_is_kept(service: LiveService) -> None:
    service.analyze(MODEL, TEXT)
    writing = service.writing
    with counting_forwards() as count:
        direct = writing.direct(MODEL, TEXT)
        promoted = writing.promoted(MODEL, TEXT, HEAD)
        sources = writing.sources(MODEL, TEXT, HEAD)
        reading = writing.reading(MODEL, TEXT, HEAD)
        lens = writing.lens(MODEL, TEXT)
    assert count.passes == 0
    assert writing.direct(MODEL, TEXT) is direct and writing.promoted(MODEL, TEXT, HEAD) is promoted
    assert writing.sources(MODEL, TEXT, HEAD) is sources and writing.reading(MODEL, TEXT, HEAD) is reading
    with counting_forwards() as count:
        estimate = writing.estimate(MODEL, TEXT)
        assert writing.estimate(MODEL, TEXT) is estimate
    assert count.passes == 1
    assert float(sources.sum()) == pytest.approx(float(direct.heads[HEAD]), abs=1e-4)
    assert reading.pair == pytest.approx(float(direct.heads[HEAD]), abs=1e-3)
    assert lens.layers[-1].favourite == direct.target == estimate.target
    assert (estimate.other, lens.against) == (direct.against, direct.against)
    analysis = service.analyze(MODEL, TEXT)
    last = len(analysis.prompt.ids) - 1
    anew = direct_effect(analysis.loaded, analysis.parts, last, direct.target, direct.against)
    torch.testing.assert_close(direct.heads, anew.heads, rtol=1e-4, atol=1e-4)
    assert direct.total == pytest.approx(direct.logit, rel=1e-4)
    alone = writing.direct(MODEL, TEXT, alone=True)
    assert alone.against is None and alone.total == pytest.approx(alone.logit, rel=1e-4)


def test_the_pair_is_filled_in_at_any_position(service: LiveService) -> None:
    logits = service.position_logits(MODEL, TEXT)[3]
    target, other = logits.topk(2).indices.tolist()
    assert service.writing.pair(MODEL, TEXT, 3) == (3, target, other)
    assert service.writing.pair(MODEL, TEXT, 3, other) == (3, other, target)
    assert service.writing.pair(MODEL, TEXT, 3, 5, 5)[2] == target
    for wrong in ((99, None), (3, 10**6)):
        with pytest.raises(UserFacingError):
            service.writing.pair(MODEL, TEXT, *wrong)


def test_total_beside_direct(service: LiveService) -> None:
    analysis = service.analyze(MODEL, TEXT)
    for mode in ("zero", "mean"):
        found = effect_map(analysis.loaded, analysis.prompt.ids, mode=mode)
        both = service.writing.total_and_direct(MODEL, TEXT, found)
        assert len(both) == 64 and {one.reading.key for one in both} <= set(READINGS)
        assert {one.reading.key for one in both} & {"itself", "through_others", "backed_up"}


def test_what_becomes_of_the_others_is_read_off_one_ablated_forward(service: LiveService) -> None:
    service.analyze(MODEL, TEXT)
    off = {service.analyze(MODEL, TEXT).listed["previous_token"][0].head}
    with counting_forwards() as count:
        found = service.writing.changed(MODEL, TEXT, off)
        assert service.writing.changed(MODEL, TEXT, off) == found
    assert count.passes == 1 and found
    assert service.analyze_ablated(MODEL, TEXT, off) is service.analyze_ablated(MODEL, TEXT, off)


def test_a_second_prompt_becomes_a_method(service: LiveService) -> None:
    writing = service.writing
    method = writing.interchange(MODEL, TEXT, SECOND, "align")
    assert str(method) == INTERCHANGE and len(method.ids) == len(service.tokenize(MODEL, TEXT).ids)
    swapped = service.next_token_logits(MODEL, TEXT, {HEAD}, method)
    assert not torch.equal(swapped, service.next_token_logits(MODEL, TEXT, {HEAD}))
    assert service.next_token_logits(MODEL, TEXT, {HEAD}, method) is swapped
    with pytest.raises(UserFacingError, match="prompts of one length"):
        writing.interchange(MODEL, TEXT, "One day")
    assert writing.second_prompt(MODEL, TEXT, "One day").offers == ("pad", "align")


def test_the_map_shows_direct_effects(service: LiveService) -> None:
    analysis, view = service.analyze(MODEL, TEXT), map_view("direct")
    direct = service.writing.direct(MODEL, TEXT)
    assert map_values(view, MapSource(analysis)) is None
    shown = map_values(view, MapSource(analysis, direct=direct))
    assert shown is not None
    assert shown["unit"] == "logits" and shown["scale"] == "signed"
    assert shown["values"][HEAD.layer][HEAD.head] == pytest.approx(float(direct.heads[HEAD]), abs=1e-3)
