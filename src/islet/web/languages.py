"""The portal's languages. Catalogues are read from their source (.po) at start: there is nothing to build or forget."""

from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Final

from babel import Locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations
from jinja2 import Environment
from starlette.requests import HTTPConnection

from islet.model.people import User
from islet.reports.jinja import environment

LANGUAGES: Final = {"en": "English", "zh-CN": "简体中文"}
"""Code as in HTML's `lang`, and what its speakers call it. English is the source; its catalogue may be empty."""
LANGUAGE_COOKIE: Final = "islet_language"
_LOCALES: Final = Path(__file__).parent / "locale"


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """One language: its code, `text` to translate a message, and the templates in it."""

    language: str
    translations: NullTranslations
    templates: Environment

    def text(self, message: str) -> str:
        """The message in this language, or as it is when the catalogue lacks it."""
        return self.translations.ugettext(message) if message else ""


@cache
def words(language: str) -> Words:
    """The words of one of LANGUAGES."""
    translations = _translations(language)
    templates = environment("islet.web", translations)
    return Words(language=language, translations=translations, templates=templates)


def language_of(connection: HTTPConnection, user: User | None = None) -> str:
    """The language to answer in: the user's, else the cookie's, else the browser's, else English."""
    accepted = [part.partition(";")[0].strip() for part in connection.headers.get("accept-language", "").split(",")]
    wishes = [user.language if user else "", connection.cookies.get(LANGUAGE_COOKIE, ""), *accepted]
    for wish in wishes:
        for language in LANGUAGES:
            if wish and language.lower().split("-")[0] == wish.lower().split("-")[0]:
                return language
    return "en"


def catalogue_path(language: str) -> Path:
    """Where the catalogue of a language is kept."""
    return _LOCALES / language.replace("-", "_") / "LC_MESSAGES" / "messages.po"


def _translations(language: str) -> NullTranslations:
    path = catalogue_path(language)
    if not path.exists():
        return NullTranslations()
    with path.open("rb") as file:
        catalogue = read_po(file, locale=Locale.parse(language, sep="-"))
    compiled = BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return Translations(compiled)
