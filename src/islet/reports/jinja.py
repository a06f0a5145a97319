"""Pages from templates, in one language: how a package's templates are read, the same for reports and for the portal."""

from babel.support import NullTranslations
from jinja2 import Environment, PackageLoader, StrictUndefined


def environment(package: str, translations: NullTranslations) -> Environment:
    """The templates of a package (its folder `templates`): text is escaped, an unknown name is an error, and what stands
    in `trans` is in the catalogue's language, with `{name}` filled in."""
    templates = Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    templates.policies["ext.i18n.trimmed"] = True
    install = vars(templates)["install_gettext_callables"]  # added by the extension, unknown to the type
    install(translations.ugettext, translations.ungettext, newstyle=True)
    return templates
