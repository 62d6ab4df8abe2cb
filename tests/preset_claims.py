"""The presets and lessons that come with the project, and what their claims are computed from."""

from utils.head_facts import token_of_text
from utils.heads import Head
from utils.lessons import load_lessons
from utils.live_analysis import LiveService
from utils.page_state import PageState
from utils.prepared_presets import PreparedPresets, PresetEffect
from utils.presets import load_presets

MODELS = ("demo-gpt2", "demo-llama")
PRESETS = load_presets()
LESSONS = load_lessons(presets=PRESETS)


def effect_of(prepared: PreparedPresets, key: str, model: str) -> PresetEffect:
    """What the preset's heads do to its token."""
    effect = prepared.effect(prepared.open(key, model))
    assert effect is not None
    return effect


def places(labels: tuple[str, ...], text: str) -> list[int]:
    """Where a token of this text is; a dot in front asks for the token with its space."""
    exact = [place for place, label in enumerate(labels) if label == text]
    loose = [place for place, label in enumerate(labels) if label.strip("·") == text]
    return exact if text.startswith("·") else loose


def probability(service: LiveService, state: PageState, off: frozenset[Head] = frozenset()) -> float:
    """Of the state's target after its prompt."""
    assert state.model and state.prompt
    loaded = service.store.get(state.model)
    token = token_of_text(loaded, state.target)
    assert token is not None
    logits = service.next_token_logits(state.model, state.prompt, off)
    return float(logits.softmax(-1)[token])
