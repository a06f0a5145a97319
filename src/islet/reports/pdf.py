"""Reports as PDF: the same page, set by WeasyPrint (extra `reports`)."""

from typing import Any

from islet.errors import SettingError


def pdf_of(html: str) -> bytes:
    """The page on A4. Nothing is fetched from anywhere: a page that asks for something is a mistake, and raises.

    Raises SettingError where WeasyPrint, or the library Pango that it draws with, is not installed.
    """
    try:
        from weasyprint import HTML
    except (ImportError, OSError):  # OSError: the Python package is there, the system's libraries are not
        raise SettingError(
            "a PDF needs WeasyPrint and Pango: install islet[reports], and libpango-1.0-0, libpangoft2-1.0-0 and "
            "libharfbuzz-subset0; or print the page from a browser"
        ) from None
    written: bytes = HTML(string=html, url_fetcher=_refused).write_pdf()
    return written


def _refused(url: str, *arguments: Any, **more: Any) -> Any:
    raise ValueError("a report holds everything that it shows")
