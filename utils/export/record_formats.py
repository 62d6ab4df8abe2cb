"""A lab record as Markdown and as HTML.

What a student typed is text in both, whatever is in it: tags, Markdown, code fences, scripts written from
right to left. Characters that only steer the direction of text are made visible, or one of them could turn
the rest of the page around.
"""

import html
import re
from collections.abc import Callable
from datetime import UTC

from utils.export.lab_record import MODES, LabRecord

# What steers the direction of the text after it (Unicode's embeddings, overrides and isolates), and control
# characters other than line end and tab.
_STEERING = re.compile("[\u202a-\u202e\u2066-\u2069\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufeff]")


def readable(text: str) -> str:
    """Text that can stand in any document: lines end with a newline, steering marks are shown as ⟨U+202E⟩."""
    # Half a character (a lone surrogate) cannot be written to a file.
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    lines = re.sub("\r\n?|\u2028|\u2029", "\n", whole)
    return _STEERING.sub(lambda match: f"⟨U+{ord(match[0]):04X}⟩", lines)


def _facts(record: LabRecord) -> list[tuple[str, str]]:
    names = ", ".join(str(head) for head in record.heads)
    off = f"{names}; {MODES.get(record.mode, record.mode)}" if names else "none"
    versions = ", ".join(f"{name} {version}" for name, version in record.versions.items())
    return [
        *([("By", record.author)] if record.author.strip() else []),
        ("Model", record.model),
        ("Ablated heads", off),
        ("Date", record.made_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")),
        ("Versions", versions),
    ]


def _is_address(link: str) -> bool:
    return re.fullmatch(r"https?://[^\s<>\"'`\\]+", link) is not None


def as_markdown(record: LabRecord) -> str:
    """The record in CommonMark with tables, as GitHub and most class tools show it."""
    parts = [f"# {_markdown(record.title)}"]
    parts.append("\n".join(f"- **{name}:** {_markdown(text)}" for name, text in _facts(record)))
    if record.link:
        address = f"<{record.link}>" if _is_address(record.link) else _markdown(record.link)
        parts.append(f"The same page again: {address}")
    parts += ["## Prompt", _fenced(record.prompt)]
    if record.findings:
        parts += ["## What was seen", "\n".join(f"- {_markdown(text)}" for text in record.findings)]
    if record.effects:
        parts += ["## Effects", _markdown_table(record)]
    if record.answers:
        parts.append("## Questions")
        for answer in record.answers:
            parts += [f"**{_markdown(answer.question)}**", _quoted(answer.answer)]
    if record.notes.strip():
        parts += ["## Notes", _quoted(record.notes)]
    return "\n\n".join(parts) + "\n"


def _markdown(text: str) -> str:
    """Text on one line in which nothing is Markdown or HTML."""
    line = " ".join(readable(text).split("\n"))
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line = re.sub(r"([\\`*_{}\[\]#|~$]|:(?=[a-z]))", r"\\\1", line)
    # At the start alone: a list, a line under a heading, a number with a dot. Spaces there could make code.
    start = len(line) - len(line.lstrip())
    rest = re.sub(r"^([-+=])", r"\\\1", line[start:])
    rest = re.sub(r"^(\d+)([.)])(?=\s|$)", r"\1\\\2", rest)
    return "&nbsp;" * start + rest


def _fenced(text: str) -> str:
    clean = readable(text)
    longest = max((len(run) for run in re.findall("`+", clean)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{clean}\n{fence}"


def _quoted(text: str) -> str:
    """What was typed, line by line, as a quotation; two spaces at a line's end keep it a line."""
    lines = [line.rstrip() for line in readable(text).strip("\n").split("\n")]
    return "\n".join(f"> {_markdown(line)}  " if line else ">" for line in lines)


def _table(record: LabRecord) -> tuple[list[str], list[list[str]]]:
    off = bool(record.heads)
    head = ["what", "all heads on", *(["heads ablated"] if off else [])]
    rows = [[effect.what, effect.clean, *([effect.ablated] if off else [])] for effect in record.effects]
    return head, rows


def _markdown_table(record: LabRecord) -> str:
    head, rows = _table(record)
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *[[_markdown(cell) for cell in row] for row in rows]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


# No script runs in the file and nothing is loaded, whoever opens it.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE = """
:root { color-scheme: light dark; }
body { font-family: system-ui, sans-serif; line-height: 1.5; max-width: 46rem; margin: 2rem auto;
  padding: 0 1rem; }
table { border-collapse: collapse; }
th, td { border: 1px solid #868e96; padding: 0.2rem 0.6rem; text-align: left; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
.typed { white-space: pre-wrap; overflow-wrap: anywhere; border-left: 4px solid #868e96; margin: 0;
  padding: 0.4rem 0.8rem; }
dt { font-weight: 600; }
dd { margin: 0 0 0.4rem; overflow-wrap: anywhere; }
"""


def as_html(record: LabRecord) -> str:
    """The record as one HTML file without scripts, pictures or anything from elsewhere."""
    text = _html
    facts = "".join(f"<dt>{name}</dt><dd>{text(value)}</dd>" for name, value in _facts(record))
    if record.link:
        address, link = html.escape(record.link), text(record.link)
        shown = f'<a href="{address}" rel="noreferrer">{link}</a>' if _is_address(record.link) else link
        facts += f"<dt>The same page again</dt><dd>{shown}</dd>"
    parts = [f"<h1>{text(record.title)}</h1>", f"<dl>{facts}</dl>"]
    parts += ["<h2>Prompt</h2>", _typed(record.prompt)]
    if record.findings:
        items = "".join(f"<li>{text(finding)}</li>" for finding in record.findings)
        parts += ["<h2>What was seen</h2>", f"<ul>{items}</ul>"]
    if record.effects:
        parts += ["<h2>Effects</h2>", _html_table(record, text)]
    if record.answers:
        parts.append("<h2>Questions</h2>")
        for answer in record.answers:
            parts += [f"<h3>{text(answer.question)}</h3>", _typed(answer.answer)]
    if record.notes.strip():
        parts += ["<h2>Notes</h2>", _typed(record.notes.strip())]
    body = "\n".join(parts)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f"<title>{html.escape(readable(record.title))}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def _html(text: str) -> str:
    """Text of any direction inside a line of the page."""
    return f"<bdi>{html.escape(readable(text))}</bdi>"


def _typed(text: str) -> str:
    return f'<blockquote class="typed" dir="auto">{html.escape(readable(text))}</blockquote>'


def _html_table(record: LabRecord, text: Callable[[str], str]) -> str:
    head, rows = _table(record)
    titles = "".join(f'<th scope="col">{title}</th>' for title in head)
    lines = "".join(
        f'<tr><th scope="row">{text(row[0])}</th>'
        + "".join(f'<td class="number">{html.escape(cell)}</td>' for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{lines}</tbody></table>"
