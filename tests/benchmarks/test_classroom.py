"""A small class at a small model: every answer comes, and is the one that is computed alone."""

import json

import pytest

from benchmarks import classroom
from benchmarks.classroom import differs, main


def test_a_class_gets_right_answers(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--students", "5", "--seconds", "6", "--pause", "0.1", "--model", "demo-gpt2"]
    assert main([*arguments, "--modes", "joined", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["wrong"], found["lost"], found["errors"]) == (0, 0, 0)
    assert found["compared"] >= 5
    assert {"requests_per_s", "median_s", "p95_s", "rss_growth"} <= found.keys()


def test_what_differs_is_found() -> None:
    one = {"top": [{"token": "a", "logit": 1.0}, {"token": "b", "logit": 0.5}]}
    assert not differs(one, {"top": [{"token": "a", "logit": 1.000001}, {"token": "b", "logit": 0.5}]})
    assert differs(one, {"top": [{"token": "a", "logit": 1.0001}, {"token": "b", "logit": 0.5}]})
    assert differs(one, {"top": one["top"][::-1]})
    assert differs(one, {"top": one["top"][:1]})


def test_a_wrong_answer_would_be_counted() -> None:
    class Wrong(classroom.Alone):
        def __init__(self) -> None:
            pass

        def prediction(self, sentence: str, off: str) -> str:
            return "another"

    seen = classroom.Seen(predictions=[(("a", ""), "one"), (("b", ""), "another")])
    assert classroom.count_wrong(seen, Wrong()) == 1
