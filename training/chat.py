"""The chat template of the bundled instruct model, and conversations rendered by it.

A conversation is the start token, then turns: "User:", a line break and the user's text, and after a blank
line "Assistant:" with the answer, which the end token closes. No token is added to the tokenizer.
"""

import copy
from collections.abc import Sequence
from typing import Any

CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}Assistant: {{ message['content'] }}{{ eos_token }}"
    "{% else %}User:\n{{ message['content'] }}\n\n{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}"
)


def with_chat_template(tokenizer: Any) -> Any:
    """A copy of a tokenizer that has the chat template; the tokenizer itself stays as it is."""
    chatting = copy.deepcopy(tokenizer)
    chatting.chat_template = CHAT_TEMPLATE
    return chatting


def rendered(tokenizer: Any, turns: Sequence[str]) -> str:
    """What the model reads before its next answer: `turns` of user and assistant, the user's first and last.

    Args:
        tokenizer: its own chat template is used; where it has none, `CHAT_TEMPLATE` is.
        turns: texts, user and assistant in turn.
    """
    messages = [
        {"role": "assistant" if number % 2 else "user", "content": text} for number, text in enumerate(turns)
    ]
    return tokenizer.apply_chat_template(
        messages,
        chat_template=tokenizer.chat_template or CHAT_TEMPLATE,
        tokenize=False,
        add_generation_prompt=True,
    )
