"""Pictures of a running portal, for the README and for looking at one's work (`python -m tools.screenshots --help`).

The password comes from the environment (ISLET_PASSWORD), so that it is not in the shell's history.
"""

import argparse
import os
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page, sync_playwright

_CHROMIUM = "/usr/bin/chromium"
_ARGUMENTS = (
    "--no-sandbox --headless --disable-gpu --disable-background-networking "
    "--disable-component-update --disable-sync --no-first-run"
)
_SCREENS = {"phone": (360, 780), "tablet": (768, 1024), "desktop": (1280, 860)}
_Scheme = Literal["light", "dark"]
_SCHEMES: tuple[_Scheme, ...] = ("light", "dark")


def main() -> None:
    options = _options()
    options.out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_CHROMIUM, args=_ARGUMENTS.split())
        for screen in options.screens:
            for scheme in options.schemes:
                _pictures(browser, options, screen, scheme)
        browser.close()


def _pictures(browser: Browser, options: argparse.Namespace, screen: str, scheme: _Scheme) -> None:
    """The log-in, the list, its first patient, the alerts: one PNG each."""
    width, height = _SCREENS[screen]
    context = browser.new_context(
        base_url=options.address,
        viewport={"width": width, "height": height},
        device_scale_factor=2,
        color_scheme=scheme,
        ignore_https_errors=True,  # the demo's certificate is its own
    )
    page = context.new_page()
    page.goto("/login")
    _save(page, options.out, "login", screen, scheme)
    page.locator("#name").fill(options.user)
    page.locator("#password").fill(os.environ["ISLET_PASSWORD"])
    page.locator(".door button").click()
    page.locator("#connection").wait_for()
    _save(page, options.out, "patients", screen, scheme)
    patient = page.locator("tbody a").first.get_attribute("href")
    for name, path in (("patient", patient), ("alerts", "/alerts")):
        if path:
            page.goto(path)
            page.locator("#connection").wait_for()
            _save(page, options.out, name, screen, scheme)
    context.close()


def _save(page: Page, folder: Path, name: str, screen: str, scheme: str) -> None:
    path = folder / f"{name}-{screen}-{scheme}.png"
    page.screenshot(path=path)
    print(path)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Take pictures of a running portal; password from ISLET_PASSWORD.")
    parser.add_argument("address", help="for example https://localhost:8443")
    parser.add_argument("--user", default="admin")
    parser.add_argument("--out", type=Path, default=Path("build/screenshots"))
    parser.add_argument("--screens", nargs="+", choices=_SCREENS, default=list(_SCREENS))
    parser.add_argument("--schemes", nargs="+", choices=_SCHEMES, default=list(_SCHEMES))
    return parser.parse_args()


if __name__ == "__main__":
    main()
