"""The chat template: what it renders, on a tokenizer learnt here and on the bundled instruct model."""

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from training.chat import CHAT_TEMPLATE, rendered, with_chat_template
from utils.models.sources import BUNDLED

ASKED = [{"role": "user", "content": "A text.\n\nQuestion: Who?\nAnswer in one word:"}]
ANSWERED = [*ASKED, {"role": "assistant", "content": "Ann"}, {"role": "user", "content": "And where?"}]


@pytest.fixture(params=["learnt here", "bundled"])
def chatting(request: pytest.FixtureRequest, tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    if request.param == "bundled":
        return AutoTokenizer.from_pretrained(BUNDLED / "demo-llama-instruct")
    return with_chat_template(tokenizer)


def test_what_the_model_reads(chatting: PreTrainedTokenizerFast) -> None:
    def text(messages: list[dict[str, str]], prompt: bool = True) -> str:
        return str(chatting.apply_chat_template(messages, tokenize=False, add_generation_prompt=prompt))

    first = "<|endoftext|>User:\nA text.\n\nQuestion: Who?\nAnswer in one word:\n\nAssistant:"
    assert text(ASKED) == rendered(chatting, [ASKED[0]["content"]]) == first
    answered = f"{first} Ann<|endoftext|>"
    assert text(ANSWERED[:2], prompt=False) == answered
    assert text(ANSWERED) == answered + "User:\nAnd where?\n\nAssistant:"
    assert rendered(chatting, [message["content"] for message in ANSWERED]) == text(ANSWERED)


def test_the_template_begins_with_the_start_token_and_adds_none(chatting: PreTrainedTokenizerFast) -> None:
    encoded = chatting(rendered(chatting, ["Hello."]), add_special_tokens=False)["input_ids"]
    assert encoded[0] == chatting.bos_token_id == 0 and 0 not in encoded[1:]
    assert max(chatting.get_vocab().values()) == len(chatting) - 1


def test_the_tokenizer_that_it_is_put_on_stays_as_it_is(tokenizer: PreTrainedTokenizerFast) -> None:
    assert with_chat_template(tokenizer).chat_template == CHAT_TEMPLATE
    assert tokenizer.chat_template is None
    # Without one of its own, the bundled models' template is used.
    assert rendered(tokenizer, ["Hello."]) == "<|endoftext|>User:\nHello.\n\nAssistant:"


def test_the_bundled_instruct_model_alone_has_it() -> None:
    for model in ("demo-gpt2", "demo-llama", "demo-llama-instruct"):
        found = AutoTokenizer.from_pretrained(BUNDLED / model).chat_template
        assert found == (CHAT_TEMPLATE if model.endswith("-instruct") else None)
