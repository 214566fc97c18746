"""Pages of the site that lie outside of `docs/`: copied in, with links that lead to pages of the site.

The pages are plain Markdown whose links work on a code forge. On the site a link to `../SECURITY.md` has to
lead to the copy of that page, and a link to any other file of the repository becomes a download.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

__all__ = ["COPIED", "ROOT", "copy_pages", "site_links", "sole_title"]

ROOT = Path(__file__).resolve().parents[1]

COPIED = {
    "CHANGELOG.md": "project/changelog.md",
    "CODE_OF_CONDUCT.md": "project/conduct.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "ROADMAP.md": "project/roadmap.md",
    "SECURITY.md": "project/security.md",
    "licences/README.md": "project/licences.md",
    "models/nano-checkpoint/TRAINING.md": "project/training-of-nano.md",
    "models/nano/README.md": "project/nano.md",
}
"""Page of the repository -> its copy in `docs/`. The copies are made by each build and are no part of git."""

_HOMES = {**COPIED, "README.md": "index.md", "docs/examples/README.md": "gallery/index.rst"}
_LINK = re.compile(r"(\]\()(?![a-z]+:|#|/)([^)\s#]+)(#[^)\s]*)?(\))")


def site_links(text: str, page: str, shown_at: str | None = None) -> str:
    """The text of a page with the links of the site.

    Args:
        text: Markdown.
        page: path of the page in the repository, for example "docs/model.md".
        shown_at: path in `docs/` at which the site shows it; None where it lies there.
    """
    here = PurePosixPath(page).parent
    depth = len(PurePosixPath(shown_at or PurePosixPath(page).relative_to("docs")).parts) - 1
    up = "../" * depth

    def link(match: re.Match[str]) -> str:
        path = _normal(here / match[2])
        if path in _HOMES:
            goal = up + _HOMES[path]
        elif path.startswith("docs/"):
            goal = up + path.removeprefix("docs/")
        else:
            goal = f"{up}../{path}"
        return f"{match[1]}{goal}{match[3] or ''}{match[4]}"

    return _LINK.sub(link, text)


def _normal(path: PurePosixPath) -> str:
    """A relative path without `..`, as far as it stays in the repository."""
    parts: list[str] = []
    for part in path.parts:
        if part == ".." and parts:
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)


def sole_title(text: str) -> str:
    """The text with one title: later headings of the first level, outside of code, go to the second."""
    lines, titles, in_code = [], 0, False
    for line in text.splitlines():
        in_code ^= line.startswith("```")
        if line.startswith("# ") and not in_code:
            titles += 1
            line = line if titles == 1 else f"#{line}"
        lines.append(line)
    return "\n".join(lines) + "\n"


def copy_pages(docs: Path) -> None:
    """Write the copies of `COPIED` under a folder of pages; a copy that is up to date is left alone."""
    for page, copy in COPIED.items():
        text = site_links(sole_title((ROOT / page).read_text("utf-8")), page, copy)
        goal = docs / copy
        goal.parent.mkdir(parents=True, exist_ok=True)
        if not goal.is_file() or goal.read_text("utf-8") != text:
            goal.write_text(text, encoding="utf-8")
