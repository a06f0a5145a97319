"""Gives devices and modules the desired properties of the configurations that mean them: when one is made or changed,
and every few minutes, so that it also reaches who is new or has come to meet a condition.

What a configuration has set stays when it is removed, as at IoT Hub; the next one in priority sets its own.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from functools import reduce
from typing import Final

import msgspec
import structlog
from msgspec import Struct, field

from islet.decode.iothub_configurations import Configuration, overlaid
from islet.decode.iothub_query import parse_query
from islet.decode.iothub_twins import JsonObject, Properties, ServiceTwin, is_met
from islet.errors import IsletError
from islet.gateways.exchange import Exchange
from islet.gateways.http_query import device_documents
from islet.store.base import EntryKind, Registry
from islet.store.devices_base import Address

LOOK_S: Final = 300.0
_log = structlog.get_logger("islet.gateways.configurations")


class Counts(Struct):
    """How many are meant by a configuration, how many of them have what it wants, and what its own queries found."""

    targeted: int = 0
    applied: int = 0
    metrics: dict[str, int] = field(default_factory=dict)


class Planned(Struct, frozen=True):
    """A device or module that configurations of these ids mean, what they want together, and whether it has that."""

    device: str
    module: str
    ids: tuple[str, ...]
    patch: JsonObject
    has: bool


def planned(configurations: Sequence[Configuration], documents: Sequence[JsonObject]) -> list[Planned]:
    """Everybody who is meant; `documents` are twins as services see them."""
    ranked = sorted(configurations, key=lambda one: (one.priority, one.created_us))
    conditions = [(one.id, one.patch, query.matches) for one in ranked if (query := one.matches) is not None]
    plan = []
    for document in documents:
        meant = [(id, patch) for id, patch, matches in conditions if matches(document)]
        if meant:
            patch = reduce(overlaid, (patch for _, patch in meant))
            device, module = str(document["deviceId"]), str(document.get("moduleId", ""))
            has = is_met(Properties(values=_desired(document)), patch)
            plan.append(Planned(device, module, tuple(id for id, _ in meant), patch, has))
    return plan


def _desired(document: JsonObject) -> JsonObject:
    properties = document["properties"]
    desired = properties.get("desired") if isinstance(properties, dict) else None
    return (
        {key: value for key, value in desired.items() if not key.startswith("$")} if isinstance(desired, dict) else {}
    )


class Configurations:
    """One for an exchange; made in its loop."""

    def __init__(self, exchange: Exchange, registry: Registry, *, look_s: float = LOOK_S) -> None:
        self._exchange, self._registry, self._look_s = exchange, registry, look_s
        self._counts: dict[str, Counts] = {}
        self._wake = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name="configurations")

    def counts(self, id: str) -> Counts:
        """As they were when it was looked at last."""
        return self._counts.get(id, Counts())

    def changed(self) -> None:
        """Look again now."""
        self._wake.set()

    async def close(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self.look()
            except Exception:  # the disk; it is tried again
                _log.exception("configurations_failed")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._look_s):
                    await self._wake.wait()

    async def look(self) -> None:
        """Apply all that there are."""
        found = list((await asyncio.to_thread(read_configurations, self._registry)).values())
        counts = {one.id: Counts() for one in found}
        for modules in (False, True):
            those = [one for one in found if one.modules is modules]
            queries = {id: text for one in found for id, text in _queries(one, modules=modules)}
            if those or queries:
                documents = await self._documents(modules=modules)
                for one in await asyncio.to_thread(planned, those, documents):
                    has = one.has or await self._give(one)
                    for id in one.ids:
                        counts[id].targeted += 1
                        counts[id].applied += has
                for (id, name), text in queries.items():
                    counts[id].metrics[name] = await asyncio.to_thread(_found, text, documents)
        self._counts = counts

    async def _documents(self, *, modules: bool) -> list[JsonObject]:
        online, store = self._exchange.presence.online(), self._exchange.devices
        return await self._exchange.write(
            lambda: device_documents(self._registry, store, modules=modules, online=online)
        )

    async def _give(self, one: Planned) -> bool:
        """Whether that device or module has it now."""
        of = await asyncio.to_thread(self._address, one.device, one.module)
        if of is None:  # it was removed meanwhile
            return False
        try:
            await self._exchange.change_twin(of, ServiceTwin(desired=one.patch))
        except IsletError as error:  # it would be too large
            _log.warning("configuration_not_applied", error=type(error).__name__)
            return False
        return True

    def _address(self, device_id: str, module_id: str) -> Address | None:
        if module_id:
            module = self._exchange.devices.module(device_id, module_id)
            return None if module is None else Address(device_id, module.generation_id, module_id)
        device = self._registry.device(device_id)
        return None if device is None else Address(device_id, device.generation_id)


def _found(text: str, documents: Sequence[JsonObject]) -> int:
    """How many a query finds."""
    return sum(map(parse_query(text).matches, documents))


def _queries(one: Configuration, *, modules: bool) -> list[tuple[tuple[str, str], str]]:
    """Its metrics that are about modules, or those about devices."""
    return [((one.id, name), text) for name, text in one.metrics.items() if parse_query(text).modules is modules]


def read_configurations(registry: Registry) -> dict[str, Configuration]:
    """By id, in the order of the ids."""
    entries = registry.entries(EntryKind.CONFIGURATION)
    return {id: msgspec.json.decode(body, type=Configuration) for id, body in sorted(entries.items())}


def find_configuration(registry: Registry, id: str) -> Configuration | None:
    body = registry.entry(EntryKind.CONFIGURATION, id)
    return None if body is None else msgspec.json.decode(body, type=Configuration)


def put_configuration(registry: Registry, id: str, one: Configuration | None, *, by: str, at_us: int) -> None:
    """Keep it; None removes it."""
    body = None if one is None else msgspec.json.encode(one)
    registry.put_entry(EntryKind.CONFIGURATION, id, body, by=by, at_us=at_us)
