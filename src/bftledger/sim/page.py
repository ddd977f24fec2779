"""The page around a diagram: one HTML file, complete in itself, whatever the run contains.

Payloads are hostile. All that comes from a run is either escaped here or lies in a block of JSON that no browser
executes and that the page shows as text only; what the page may execute is named in it by its hash, and it may load
nothing from anywhere.
"""

import hashlib
import html
import json
from base64 import b64encode
from collections.abc import Iterable
from importlib.resources import files
from string import Template
from typing import Any, Final

_SCRIPTS: Final = ("time.js", "ink.js", "picture.js", "arrows.js", "signs.js", "hover.js", "controls.js")
"""In the order in which they need one another."""

MAX_HEADLINE: Final = 4
"""So many sentences stand above the picture; if there are more, they can be unfolded."""


def page(title: str, headline: Iterable[str], is_sound: bool, data: dict[str, Any]) -> str:
    """The file. `headline`: sentences. `data`: what the scripts in `web/` draw (`diagram.Diagram.data`)."""
    script = "".join(["(() => {\n'use strict';\n", *(_part(name) for name in _SCRIPTS), "})();\n"])
    return Template(_part("page.html")).substitute(
        title=html.escape(title),
        headline=_headline(list(headline)),
        verdict="sound" if is_sound else "violated",
        verdict_text="No violation" if is_sound else "Violation",
        story="\n".join(_line(entry) for entry in data["story"]),
        style=_part("page.css"),
        script=script,
        script_hash=b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        data=_json(data),
    )


def _headline(sentences: list[str]) -> str:
    lines = [f"<p>{html.escape(sentence)}</p>" for sentence in sentences]
    if len(lines) > MAX_HEADLINE + 1:
        rest = "\n".join(lines[MAX_HEADLINE:])
        lines[MAX_HEADLINE:] = [f"<details><summary>{len(lines) - MAX_HEADLINE} more</summary>\n{rest}\n</details>"]
    return "\n".join(lines)


def _part(name: str) -> str:
    return (files(__package__) / "web" / name).read_text(encoding="utf-8")


def _line(entry: list[Any]) -> str:
    at, weight, text, _ = entry
    time = f"{at / 1_000_000:.4f} s"
    return (
        f'<li class="{weight}"><button type="button"><time>{time}</time> <span>{html.escape(text)}</span></button></li>'
    )


def _json(data: dict[str, Any]) -> str:
    """JSON that cannot end the element around it, nor begin another."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
