import io
import json

from utils.errors import UserFacingError
from utils.runtime.progress_lines import JsonLines, TextLines


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_json_lines_are_objects_and_none_is_told_twice_in_a_row() -> None:
    stream = io.StringIO()
    lines = JsonLines(stream)
    for done in (0, 1, 1, 2):
        lines("reading é", done, 2)
    lines.fail(UserFacingError("It broke.", "Mend it."))
    lines.finish("/some/path.json")
    message = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert message == [
        *({"what": "reading é", "done": done, "total": 2} for done in (0, 1, 2)),
        {"error": "It broke.", "remedy": "Mend it."},
        {"catalog": "/some/path.json"},
    ]
    assert stream.getvalue().isascii()


def test_a_log_gets_a_line_a_stage() -> None:
    # Streams of its own: what a thread of another test writes to stderr meanwhile is none of this.
    err, out = io.StringIO(), io.StringIO()
    lines = TextLines("demo", err, out)
    for what, done in (("loading", 0), ("reading", 1), ("reading", 2), ("checking", 3)):
        lines(what, done, 4)
    lines.close()
    lines.finish("out.json")
    # A stage is named with its first piece: of "loading" nothing has come yet.
    assert err.getvalue() == "demo: reading (25%)\ndemo: checking (75%)\n"
    assert out.getvalue() == "out.json\n"


def test_a_terminal_gets_one_line_that_is_written_over() -> None:
    terminal = _Terminal()
    moments = iter([0.0, 10.0, 20.0, 20.05, 30.0])
    lines = TextLines("demo", terminal, clock=lambda: next(moments))
    lines("loading", 0, 4)
    lines("reading", 1, 4)
    lines("reading", 2, 4)  # so soon after the last that it is not shown
    lines("reading", 4, 4)
    lines.close()
    lines.close()
    shown = terminal.getvalue().split("\r\033[K")[1:]
    # A piece took ten seconds, and three are left.
    assert shown == ["demo: loading", "demo: reading (25%), 30 s left", "demo: reading (100%)\n"]
