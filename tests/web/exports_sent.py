"""Exports that are sent to the portal, by its page and over HTTP: what the tests of that share."""

from typing import Any

import httpx

from islet.model.topics import Topic
from islet.web.uploads import Upload
from tests.web.portal import NOW_US, Site

HERE = {"sec-fetch-site": "same-origin"}
GOOD = "time,glucose (mg/dL),carbs\n2026-02-01 07:05,112,\n2026-02-01 07:10,Low,45\n2026-02-01 07:10,118,\n"
TWO_WAYS = "time,glucose (mg/dL)\n03/02/2026 07:05,112\n04/02/2026 07:10,118\n"
UNITLESS = "time,glucose\n2026-02-01 07:05,6.2\n"
API = "/api/patients/p-1/imports"


def waiting(site: Site, address: str, user: str = "nurse") -> Upload:
    """The upload of a page's address, once nothing of it is under way."""
    upload = site.uploads.get(address.rpartition("/")[2], user, "p-1")
    upload.work.result(20)
    return upload


async def send_by_page(client: httpx.AsyncClient, *files: tuple[str, bytes | str]) -> httpx.Response:
    parts = [("files", (name, content)) for name, content in files]
    return await client.post("/patients/p-1/import", files=parts, headers=HERE)


async def send(client: httpx.AsyncClient, content: bytes | str, query: str = "") -> dict[str, Any]:
    answer = await client.post(f"{API}?name=one.csv{query}", content=content, headers=HERE)
    assert answer.status_code == 201, answer.text
    told: dict[str, Any] = answer.json()
    return told


def stored(site: Site) -> tuple[int, list[str]]:
    """How many readings and which care events the store has of p-1."""
    site.follow()
    events = site.store.documents(Topic.CARE_EVENTS, "p-1", 0, NOW_US)
    return len(site.store.series("p-1", 0, NOW_US)), [one.type for one in events]
