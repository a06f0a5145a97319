"""AndroidAPS as it speaks Nightscout's third API: each request, its order, and what of an answer is read are those of
its core/nssdk and plugins/sync."""

from typing import Any

import httpx

from islet.model.time import MINUTE_US, SECOND_US
from tests.gateways.door import HUB, NOW_US
from tests.gateways.nightscout import Night

AT_MS = (NOW_US - 5 * MINUTE_US) // 1000
BOLUS: dict[str, object] = {
    "date": AT_MS,
    "utcOffset": 60,
    "app": "AAPS",
    "isReadOnly": False,
    "isValid": True,
    "eventType": "Correction Bolus",
    "insulin": 0.3,
    "type": "SMB",
    "pumpId": 4148,
    "pumpType": "ACCU_CHEK_INSIGHT_BLUETOOTH",
    "pumpSerial": "33013206",
    "isBasalInsulin": False,
}
SGV: dict[str, object] = {
    "type": "sgv",
    "sgv": 112.0,
    "date": AT_MS,
    "device": "AndroidAPS-DexcomG6",
    "direction": "Flat",
    "utcOffset": 60,
    "app": "AAPS",
    "isValid": True,
    "units": "mg/dl",
}


class Aaps:
    """AndroidAPS' client: a bearer's token in each request, a new one after 401 and 403, once; results in an envelope."""

    def __init__(self, night: Night, secret: str) -> None:
        transport = night.http._transport
        self.http = httpx.AsyncClient(transport=transport, base_url=f"https://{HUB}/api")
        self.night, self.secret, self.jwt = night, secret, ""

    async def ask(self, method: str, path: str, json: object = None, **headers: str) -> httpx.Response:
        answer = await self._ask(method, path, json, headers)
        if answer.status_code in (401, 403):
            given = await self.http.get(f"/v2/authorization/request/{self.secret}")
            if given.status_code == 200:
                self.jwt = given.json()["token"]
                answer = await self._ask(method, path, json, headers)
        return answer

    async def _ask(self, method: str, path: str, json: object, headers: dict[str, str]) -> httpx.Response:
        shown = {"Date": str(self.night.now_us // 1000), "Authorization": f"Bearer {self.jwt}", **headers}
        return await self.http.request(method, f"/v3/{path}", json=json, headers=shown)

    async def result(self, path: str) -> Any:
        answer = await self.ask("GET", path)
        assert answer.status_code == 200, answer.text
        return answer.json()["result"]

    async def history(
        self, collection: str, since_ms: int, limit: int = 500
    ) -> tuple[int | None, list[dict[str, Any]]]:
        """What was changed, and behind what to go on: the header ETag from its third sign to the last but one."""
        answer = await self.ask("GET", f"{collection}/history/{since_ms}?limit={limit}")
        assert answer.status_code == 200, answer.text
        tag = answer.headers.get("ETag")
        return (int(tag[3:-1]) if tag else None), answer.json()["result"]

    async def create(self, collection: str, document: object) -> tuple[int, str]:
        answer = await self.ask("POST", collection, document)
        assert answer.status_code in (200, 201), answer.text
        return answer.status_code, answer.json()["identifier"]

    def later(self, by_us: int = 10 * SECOND_US) -> None:
        """What was sent is in the store, and so long ago."""
        self.night.follow()
        self.night.now_us += by_us
        self.night.door.received_us = self.night.now_us
