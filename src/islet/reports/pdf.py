"""Reports as PDF: the same page, set by WeasyPrint (extra `reports`)."""

from islet.errors import SettingError


def pdf_of(html: str) -> bytes:
    """The page on A4. Nothing is fetched from anywhere: for a page that asks for something, ValueError.

    Raises SettingError where WeasyPrint, or the library Pango that it draws with, is not installed.
    """
    try:
        from weasyprint import HTML
        from weasyprint.urls import FatalURLFetchingError, URLFetcher
    except (ImportError, OSError):  # OSError: the Python package is there, the system's libraries are not
        raise SettingError(
            "a PDF needs WeasyPrint and Pango: install islet[reports], and libpango-1.0-0, libpangoft2-1.0-0 and "
            "libharfbuzz-subset0; or print the page from a browser"
        ) from None
    fetcher = URLFetcher(allowed_protocols=(), fail_on_errors=True)
    try:
        written: bytes = HTML(string=html, url_fetcher=fetcher).write_pdf()
    except FatalURLFetchingError:  # not an Exception
        raise ValueError("a report holds everything that it shows, and asks for nothing") from None
    return written
