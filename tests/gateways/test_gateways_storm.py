"""Everybody comes back at once: some are told to wait, all are served, and nothing that was acknowledged is missing."""

import asyncio
import random

import pytest

from islet.access.sas import ConnectionString
from islet.agent.mqtt_client import Address, FaithfulClient
from islet.gateways.turnstile import Turnstile
from islet.model.topics import Topic
from tests.gateways.door import HUB, NOW_US, Door, reading

DEVICES = 60


class ByAttempts(Turnstile):
    """Fills by half an admission with each attempt, however long a busy machine takes for it."""

    attempts = 0

    def refusal_s(self, now_s: float) -> float | None:
        self.attempts += 1
        return super().refusal_s(self.attempts / 2)


async def test_a_storm_is_refused_in_part_and_served_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("islet.gateways.turnstile.LONGEST_REFUSAL_S", 0.05)
    turnstile = ByAttempts(random.Random(1), per_s=1.0, at_once=20.0)
    async with Door.opened(turnstile=turnstile) as door:
        address, rng = Address(host="127.0.0.1", port=door.port), random.Random(2)
        clients = []
        for number in range(DEVICES):
            key = door.add_device(f"cgm-{number}").primary_key
            given = ConnectionString(host=HUB, device=f"cgm-{number}", key=key)
            clients.append(FaithfulClient(address, given, lambda: NOW_US, rng, first_pause_s=0.02))
        for storm in range(2):
            refused = door.mqtt.refused
            await asyncio.gather(*(client.publish(reading(100 + storm)) for client in clients))
            assert door.mqtt.refused > refused
            for client in clients:
                client.cut()
        rows = door.rows(Topic.GLUCOSE_READINGS)
    for storm in range(2):
        assert {row["device"] for row in rows if row["value"] == 100 + storm} == {f"cgm-{n}" for n in range(DEVICES)}
