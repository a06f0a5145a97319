"""Every text is in every language, and no text is outside of the catalogues."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

import islet.web
from islet.model.people import Role, User
from islet.model.topics import Topic
from islet.web.languages import LANGUAGES, catalogue_path, words
from islet.web.texts import SCRIPTS, for_scripts
from tests.web.night import last_night
from tests.web.portal import Site

WEB = Path(islet.web.__file__).parent
ROOMS = (WEB, *(WEB.parent / room for room in ("notify", "patterns", "reports")))
METHODS = [("**.py", "python"), ("**/templates/**.html", "jinja2")]
FIELD = re.compile(r"\{\w+\}|%\(\w+\)s")
SAME_IN_ALL = {"Islet", "mg/dL", "mmol/L", "English", "简体中文", "admin", "bpm", "mmHg", "·", "‹"} | {
    *("HbA1c", "mmol/mol", "PDF", "CSV", "JSON", "GMI"),
}


def messages() -> set[str]:
    """Every message in code and templates."""
    options = {"**/templates/**.html": {"trimmed": "true"}}
    keywords = {"_": None, "gettext": None, "ngettext": (1, 2)}
    found = [one for room in ROOMS for one in extract_from_dir(room, METHODS, options, keywords)]
    return {message for _, _, message, _, _ in found if isinstance(message, str)}


@pytest.mark.parametrize("language", [code for code in LANGUAGES if code != "en"])
def test_every_message_is_translated_and_nothing_else_is(language: str) -> None:
    with catalogue_path(language).open("rb") as file:
        catalogue = {str(message.id): message for message in read_po(file) if message.id}
    assert set(catalogue) == messages()
    for ident, message in catalogue.items():
        assert message.string, ident
        assert not message.fuzzy, ident
        assert sorted(FIELD.findall(ident)) == sorted(FIELD.findall(str(message.string))), ident


def test_there_are_messages_to_translate() -> None:
    assert len(messages()) > 100


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_of_the_scripts_is_there(language: str) -> None:
    texts = for_scripts(words(language).text)
    assert texts.keys() >= SCRIPTS.keys()
    assert all(texts.values())


def test_every_key_that_a_script_asks_for_exists_and_each_text_is_used() -> None:
    source = "\n".join(path.read_text() for path in (WEB / "static").glob("*.js"))
    asked = set(re.findall(r'text\(\s*"([\w.]+)"', source)) | set(
        re.findall(r'"((?:alert|clamp|live)\.[\w.]+)"', source)
    )
    assert asked <= SCRIPTS.keys()
    built = set(re.findall(r"`([a-z]+)\.\$\{", source))
    assert {key for key in SCRIPTS if key not in asked and key.split(".")[0] not in built} == set()


def test_scripts_hold_no_words_of_their_own() -> None:
    """Text that a page shows comes from `text(…)`: no string literal in a script begins like a sentence."""
    for path in (WEB / "static").glob("*.js"):
        source = re.sub(r"//.*|/\*.*?\*/", "", path.read_text(), flags=re.DOTALL)
        literals = re.findall(r'"([^"\n]*)"', source)
        assert [one for one in literals if re.match(r"[A-Z][a-z]+( |$)", one)] in ([], ["Escape"]), path.name


class _Shown(HTMLParser):
    """The words that a page shows, without scripts, names of things in code, and what says itself that it is English."""

    def __init__(self) -> None:
        super().__init__()
        self.words: set[str] = set()
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if not self._inside and (tag in ("script", "style", "code") or ("lang", "en") in attrs):
            self._inside = "" if tag == "html" else tag
        self.words |= {value for name, value in attrs if name in ("aria-label", "title", "placeholder") and value}

    def handle_endtag(self, tag: str) -> None:
        self._inside = "" if tag == self._inside else self._inside

    def handle_data(self, data: str) -> None:
        if not self._inside and data.strip():
            self.words.add(data.strip())


async def test_who_has_chosen_no_language_reads_that_of_their_browser_and_who_has_keeps_it(site: Site) -> None:
    site.add_user("new", Role.ADMINISTRATOR, language=User(name="", role=Role.ADMINISTRATOR, password_hash="").language)
    client, chinese = site.client("new"), {"accept-language": "zh-CN,zh;q=0.9"}
    assert '<html lang="zh-CN"' in (await client.get("/", headers=chinese)).text
    assert '<html lang="en"' in (await client.get("/", headers={"accept-language": "fr"})).text
    await client.post("/settings", data={"language": "en"}, headers=chinese | {"sec-fetch-site": "same-origin"})
    client.cookies.delete("islet_language")
    assert '<html lang="en"' in (await client.get("/", headers=chinese)).text


@pytest.mark.parametrize(
    "path",
    [
        "/login",
        "/",
        "/patients/p-1",
        "/alerts",
        "/cohorts",
        "/operations",
        "/patients/none",
        "/rules",
        "/patients/p-1/rules",
        "/patients/p-1/reports",
        "/patients/p-1/reports?said=kept",
        "/patients/p-1/reports/seven-day.html",
        "/patients/p-1/reports/programme.html",
        "/patients/p-1/import",
    ],
)
async def test_a_chinese_page_shows_no_english(site: Site, path: str) -> None:
    site.add_user("guanli", Role.ADMINISTRATOR, language="zh-CN")
    site.add_patient("p-1", "甲")
    last_night(site, ["p-1"], odd=["p-1"], changed=["p-1"])
    client = site.client("" if path == "/login" else "guanli")
    shown = _Shown()
    shown.feed((await client.get(path, headers={"accept-language": "zh-CN"})).text)
    names = SAME_IN_ALL | {"guanli", "p-1", "store", *Topic}
    english = {words for words in shown.words if re.search(r"[A-Za-z]{2}", words) and not re.search("[一-鿿]", words)}
    left = {words for words in english if not any(name in words for name in names)}
    assert left == set()
