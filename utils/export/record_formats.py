"""A lab record as Markdown and as HTML.

What a student typed is text in both, whatever is in it: tags, Markdown, code fences, scripts written from
right to left. Characters that only steer the direction of text are made visible, or one of them could turn
the rest of the page around.
"""

import re
from datetime import UTC
from pathlib import Path

from utils.export.lab_record import MODES, LabRecord
from utils.runtime.html_files import html_templates

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


_TEMPLATES = html_templates(Path(__file__).parent / "templates")
_TEMPLATES.filters["readable"] = readable


def as_html(record: LabRecord) -> str:
    """The record as one HTML file without scripts, pictures or anything from elsewhere."""
    columns, rows = _table(record)
    return _TEMPLATES.get_template("lab_record.html").render(
        title=readable(record.title),
        record=record,
        facts=_facts(record),
        link_is_address=_is_address(record.link),
        columns=columns,
        rows=rows,
    )
