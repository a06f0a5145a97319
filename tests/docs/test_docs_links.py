"""Every relative link in the documentation leads somewhere, to the heading too."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_FENCE = re.compile(r"```.*?```", re.DOTALL)


def links(page: Path) -> list[str]:
    """Targets of the relative links of a page."""
    found = _LINK.findall(_FENCE.sub("", page.read_text(encoding="utf-8")))
    return [target for target in found if not re.match(r"[a-z]+:", target)]


def anchors(page: Path) -> set[str]:
    """The fragments that a page's headings make, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(page: Path) -> list[str]:
    """The links of a page that lead nowhere."""
    return [target for target in links(page) if not _leads_somewhere(page, target)]


def _leads_somewhere(page: Path, target: str) -> bool:
    path, _, fragment = target.partition("#")
    to = (page.parent / path).resolve() if path else page
    if not to.exists():
        return False
    return not fragment or to.suffix != ".md" or fragment in anchors(to)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    assert broken(page) == []


def test_a_broken_link_and_a_broken_fragment_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# One two\n", encoding="utf-8")
    page = tmp_path / "b.md"
    page.write_text("[x](a.md#one-two) [y](a.md#three) [z](c.md) [w](https://example.org)\n", encoding="utf-8")
    assert broken(page) == ["a.md#three", "c.md"]


def test_every_page_of_the_docs_can_be_reached_from_the_map() -> None:
    start = ROOT / "docs" / "README.md"
    seen, todo = {start}, [start]
    while todo:
        page = todo.pop()
        for target in links(page):
            to = (page.parent / target.partition("#")[0]).resolve()
            if to.suffix == ".md" and to.exists() and to not in seen:
                seen.add(to)
                todo.append(to)
    assert set(ROOT.glob("docs/**/*.md")) <= seen
