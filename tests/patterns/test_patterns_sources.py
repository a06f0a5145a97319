"""Every finding and advice rests on a source of the table, and the page about sources speaks of each."""

from pathlib import Path

import pytest

from islet.metrics.ranges import PRESETS
from islet.patterns import sources
from islet.patterns.advice.rules import RULES
from islet.patterns.find import find
from islet.patterns.sources import sources_told
from islet.web.languages import words
from tests.patterns.planted import simulated

TABLE = {value for name, value in vars(sources).items() if name.isupper() and not name.startswith("_")}
PAGE = (Path(__file__).resolve().parents[2] / "docs" / "explanation" / "sources.md").read_text(encoding="utf-8")


def test_every_rule_and_every_finding_rests_on_sources_of_the_table() -> None:
    used = {rule.source for rule in RULES}
    used |= {
        one.source for person in simulated(3, 14, seed=5) for goals in PRESETS.values() for one in find(person, goals)
    }
    assert {part for source in used for part in source.split("; ")} <= TABLE


@pytest.mark.parametrize("source", sorted(TABLE))
def test_the_page_about_sources_says_what_was_checked(source: str) -> None:
    if source.startswith("ADA"):
        source = "ADA Standards of Care 2025"
    own = source.startswith(("our", "limit:", "chances:", "the cause"))
    assert own or source in PAGE


def test_a_source_is_said_in_the_readers_language_and_papers_keep_their_names() -> None:
    told = sources_told(sources.both(sources.DAWN, sources.OUR_LIMIT), words("zh-CN").text)
    assert told == "Monnier 2013, doi:10.2337/dc12-2127；界值：我们的选择"
