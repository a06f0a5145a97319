"""Every door of a platform tells the audit trail whom it did not let in."""

import asyncio
from pathlib import Path

import httpx

from islet.access.sas import make_token, new_key
from islet.clock import wall_us
from islet.decode.mqtt_packets import Connect, encode
from tests.platform.inside import HUB, Inside, inside


async def knock_mqtt(port: int, device: str) -> bytes:
    """The answer to a CONNECT of a device with a token that another key has signed."""
    token = make_token(f"{HUB}/devices/{device}", new_key(), wall_us() // 1_000_000 + 600)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    name = f"{HUB}/{device}/?api-version=2021-04-12"
    writer.write(encode(Connect(client_id=device, username=name, password=token.encode(), keep_alive_s=60)))
    answer = await reader.read(4)
    writer.close()
    return answer


async def test_who_is_refused_is_in_the_audit_trail(tmp_path: Path) -> None:
    seen: list[str] = []

    async def visit(one: Inside) -> None:
        wrong = make_token(f"{HUB}/devices/cgm-1", new_key(), wall_us() // 1_000_000 + 600)
        async with httpx.AsyncClient(base_url=one.url) as client:
            for _ in range(3):
                entered = await client.post("/login", data={"name": "clinician", "password": "wrong"})
                assert entered.status_code == 401
            key = "islet_001122334455_" + "x" * 43
            answer = await client.get("/api/patients", headers={"authorization": f"Bearer {key}"})
            assert answer.status_code == 401
            path = "/devices/cgm-1/messages/events?api-version=2021-04-12"
            sent = await client.post(path, headers={"authorization": wrong}, content=b"{}")
            assert sent.status_code == 401
        assert (await knock_mqtt(one.mqtt_port, "cgm-2"))[3] == 5
        registry = one.platform.registry
        one.platform._turned_away.write(at_once=True)
        seen.extend(f"{line.action}, {line.kind} {line.id}" for line in registry.audit() if line.by.startswith("some"))
        async with one.client(one.session("auditor")) as client:
            page = (await client.get("/audit")).text
            assert "refused 3 times" in page and "log-in clinician" in page

    await inside(tmp_path, visit)
    assert sorted(seen) == [
        "refused 3 times, log-in clinician",
        "refused once, API key (unknown)",
        "refused once, connection cgm-2",
        "refused once, device request cgm-1",
    ]
