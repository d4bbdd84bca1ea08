"""The marked parts of the README that are written by the other scripts here."""

from __future__ import annotations

import re
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def replace_marked(name: str, content: str, path: Path = README) -> None:
    """Put ``content`` between ``<!-- name: … -->`` and ``<!-- /name -->``.

    Raises:
        ValueError: the marks are not there, or not once.
    """
    text = path.read_text(encoding="utf-8")
    between = rf"(<!-- {re.escape(name)}\b[^>]*-->\n).*?(<!-- /{re.escape(name)} -->)"
    text, found = re.subn(between, lambda m: f"{m[1]}{content}\n{m[2]}", text, flags=re.DOTALL)
    if found != 1:
        raise ValueError(f"{path.name} holds {found} parts marked {name}")
    path.write_text(text, encoding="utf-8")
