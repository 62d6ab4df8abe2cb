import copy
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from retrieval.filings.generated import FilingOptions, make_filings
from retrieval.filings.prompting import (
    TRAINED_ON_FILINGS,
    chat_date,
    encode_sample,
    spans_in_tokens,
    stem_of,
    uses_chat_template,
    usual_stem,
)
from retrieval.filings.tasks import TASKS
from training.recipes import RECIPES
from utils.errors import UserFacingError
from utils.models.loading import LoadedModel, load_model

SHORT = FilingOptions(other_facts=(), filler_sentences=1)
CHAT = (
    "{{ bos_token }}{% for message in messages %}User:\n{{ message['content'] }}\n\n{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}"
)


def _asked_in(loaded: LoadedModel, template: str) -> LoadedModel:
    tokenizer = copy.deepcopy(loaded.tokenizer)
    tokenizer.chat_template = template
    return replace(loaded, tokenizer=tokenizer)


def _said(loaded: LoadedModel, ids: tuple[int, ...], span: tuple[int, int]) -> str:
    return str(loaded.tokenizer.decode(list(ids[span[0] : span[1]]))).strip()


@pytest.fixture
def demo(bundled: Callable[[str], LoadedModel]) -> LoadedModel:
    return bundled("demo-llama")


@pytest.mark.parametrize("template", [None, CHAT, CHAT.replace("]}}", "] | trim }}")])
@pytest.mark.parametrize("task", ["inc_state", "employee_count", "registrant_name"])
def test_spans_hold_the_tokens_of_their_text(demo: LoadedModel, template: str | None, task: str) -> None:
    loaded = demo if template is None else _asked_in(demo, template)
    assert uses_chat_template(loaded) == (template is not None)
    for sample in make_filings(task, 5, 1):
        encoded = encode_sample(loaded, sample)
        texts = {name: _said(loaded, encoded.ids, span) for name, span in encoded.spans.items()}
        assert texts["section"] == sample.document
        assert texts["needle"] == sample.needle
        assert texts["answer"].rstrip(".") == sample.answer
        assert encoded.text.count(texts["question"]) == 1
        assert texts["question_line"] == f"Question: {texts['question']}"
        nulls = {name: _said(loaded, encoded.null_ids, span) for name, span in encoded.null_spans.items()}
        assert nulls == {"question": "N/A", "question_line": "Question: N/A"}
        assert encoded.ids[0] == encoded.null_ids[0] == loaded.bos_id
        assert encoded.ids.count(0) == 1
        assert encoded.ids[: encoded.shared] == encoded.null_ids[: encoded.shared]
        assert encoded.ids[encoded.shared] != encoded.null_ids[encoded.shared]
        assert encoded.spans["section"][1] < encoded.shared <= encoded.spans["question"][1]
        ending = "Answer in one word:" + ("\n\nAssistant:" if template else "")
        assert encoded.text.endswith(ending)
        assert str(loaded.tokenizer.decode(list(encoded.ids), skip_special_tokens=True)) in encoded.text


def test_every_family_can_be_asked(loaded: LoadedModel) -> None:
    roomy = replace(loaded, context_length=10_000)
    sample = make_filings("inc_state", 1, 0)[0]
    encoded = encode_sample(roomy, sample)
    first = 0 if loaded.bos_id is None else 1
    assert encoded.ids[:first] == ((loaded.bos_id,) if first else ())
    assert _said(loaded, encoded.ids, encoded.spans["needle"]) == sample.needle
    assert _said(loaded, encoded.null_ids, encoded.null_spans["question"]) == "N/A"


def test_samples_of_real_filings_may_lack_spans(demo: LoadedModel) -> None:
    sample = make_filings("inc_state", 1, 0)[0]
    spans = {name: span for name, span in sample.spans.items() if name in ("section", "question")}
    encoded = encode_sample(demo, replace(sample, spans=spans))
    assert set(encoded.spans) == {"section", "question", "question_line"}


def test_a_filing_longer_than_the_context_is_one_sentence(demo: LoadedModel) -> None:
    sample = make_filings("inc_state", 1, 0, FilingOptions(filler_sentences=60))[0]
    for loaded in (demo, _asked_in(demo, CHAT)):
        with pytest.raises(UserFacingError, match=r"are \d+ tokens and demo-llama reads at most 512"):
            encode_sample(loaded, sample)


def test_a_chat_prompt_is_whole_where_the_tokenizer_was_saved_with_truncation(
    demo: LoadedModel, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(demo.path, tmp_path / "cut"))
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = CHAT
    tokenizer(["a"], truncation=True, max_length=100)
    tokenizer.save_pretrained(folder)
    cut = load_model("cut", folder)
    assert uses_chat_template(cut)
    sample = make_filings("inc_state", 1, 1, FilingOptions(filler_sentences=20))[0]
    encoded = encode_sample(cut, sample)
    assert len(encoded.ids) > 200
    assert encoded.ids == encode_sample(_asked_in(demo, CHAT), sample).ids
    assert {"needle", "answer", "question"} <= set(encoded.spans)


def test_the_text_of_a_special_token_in_a_filing(demo: LoadedModel) -> None:
    sample = make_filings("inc_state", 1, 0)[0]
    start, end = sample.spans["question"]
    prompt = "<|endoftext|>" + sample.prompt[13:]
    sample = replace(sample, prompt=prompt, spans={"question": (start, end), "section": (0, 40)})
    # As plain text it is text.
    assert encode_sample(demo, sample).ids.count(0) == 1
    with pytest.raises(UserFacingError, match="special token"):
        encode_sample(_asked_in(demo, CHAT), sample)


def test_half_a_character_is_one_sentence(demo: LoadedModel) -> None:
    sample = make_filings("inc_state", 1, 0)[0]
    sample = replace(sample, prompt="\ud800" + sample.prompt[1:])
    for loaded in (demo, _asked_in(demo, CHAT)):
        with pytest.raises(UserFacingError, match=r"Character 1 .* half of a character"):
            encode_sample(loaded, sample)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ messages[0]['content'] | upper }}", "changes the text"),
        ("{{ raise_exception('no') }}", "cannot be used"),
        ("{% if %}", "cannot be used"),
    ],
)
def test_a_chat_template_that_does_not_serve(demo: LoadedModel, template: str, message: str) -> None:
    with pytest.raises(UserFacingError, match=message):
        encode_sample(_asked_in(demo, template), make_filings("inc_state", 1, 0)[0])


def test_a_token_across_an_edge_belongs_to_the_span() -> None:
    offsets = [(0, 3), (3, 7), (7, 9), (9, 9), (9, 12)]
    spans = {"a": (0, 4), "b": (4, 5), "c": (7, 12), "none": (12, 14)}
    assert spans_in_tokens(offsets, spans, before=1) == {"a": (1, 3), "b": (2, 3), "c": (3, 6)}


# As in Llama 3.1's template.
DATED = (
    "{% if not date_string is defined %}{% if strftime_now is defined %}"
    "{% set date_string = strftime_now('%d %b %Y') %}{% else %}{% set date_string = 'none' %}{% endif %}"
    "{% endif %}{{ bos_token }}Today Date: {{ date_string }}\n"
) + CHAT.removeprefix("{{ bos_token }}")


def test_a_chat_template_with_todays_date_gets_a_fixed_one(demo: LoadedModel) -> None:
    sample = make_filings("inc_state", 1, 1)[0]
    encoded = encode_sample(_asked_in(demo, DATED), sample)
    start = demo.tokenizer.bos_token
    assert encoded.text.startswith(f"{start}Today Date: 26 Jul 2024\nUser:\n{sample.prompt}")
    # By any other wording, and with what stands before it as it was.
    other = "\n  {% set f = '%A, %B %-d, %Y at %H' %}[{{ strftime_now(f) }}] {{ messages[0]['content'] }}"
    told = encode_sample(_asked_in(demo, other), sample).text
    assert told.startswith("\n[Friday, July 26, 2024 at 00] ")
    assert chat_date(_asked_in(demo, DATED)) == "2024-07-26"
    assert chat_date(demo) is None and chat_date(_asked_in(demo, CHAT)) is None


@pytest.mark.parametrize("template", [None, CHAT])
@pytest.mark.parametrize("task", ["inc_state", "employee_count", "hq_city"])
def test_the_answer_begins_with_the_stem(demo: LoadedModel, template: str | None, task: str) -> None:
    loaded = demo if template is None else _asked_in(demo, template)
    (sample,) = make_filings(task, 1, 1)
    stem = stem_of(task)
    plain, begun = encode_sample(loaded, sample), encode_sample(loaded, sample, stem)
    between = "" if template else " "
    assert begun.text == plain.text + between + stem and not stem.endswith(" ")
    assert begun.spans == plain.spans and begun.shared == plain.shared
    said = str(loaded.tokenizer.decode(list(begun.null_ids), skip_special_tokens=True))
    assert said.endswith(stem) and "N/A" in said


def test_stems_are_those_of_the_tasks_where_wanted(demo: LoadedModel, tiny_llama: LoadedModel) -> None:
    assert all(stem_of(key) == task.stem and task.stem for key, task in TASKS.items())
    assert stem_of("inc_state", stem=False) == stem_of("own") == ""
    # A model that learned the bare prompt gets it; any other a stem.
    assert usual_stem(demo, "inc_state") == ""
    assert usual_stem(tiny_llama, "inc_state") == TASKS["inc_state"].stem
    assert set(TRAINED_ON_FILINGS) <= set(RECIPES)
