"""What a listener at Nightscout's web socket has not been told yet: what HISTORY tells of what has come since."""

from typing import Final

from islet.decode.nightscout_search import Document
from islet.gateways.nightscout_history import NightscoutReader
from islet.model.people import Device
from islet.model.time import DAY_US, MINUTE_US
from islet.store.base import Store

Told = tuple[str, Document]
"""An event's name, and what it says."""
_MS_US: Final = 1_000
_AT_ONCE: Final = 200
_BEGINS_BEFORE_US: Final = 10 * MINUTE_US
"""A client asks HISTORY once it is subscribed. That does not tell yet what has just come, and goes on behind the millisecond
of what was told last here, also where the line broke amid what had that one: so much is told twice."""
_LATELY_US: Final = 2 * DAY_US
_ALL_AFTER_US: Final = MINUTE_US
"""Looking through a hundred days takes ten milliseconds: that is done where something of the last days is new, and else
so rarely, for what comes of long ago."""


class Listener:
    """One app at one socket. `said`: its secret, or token; `collections`: by name, from when in milliseconds on it is to be told
    (empty: of nothing)."""

    def __init__(self, device: Device, said: str) -> None:
        self.device, self.said = device, said
        self.sid = ""
        self.collections: dict[str, int] = {}
        self.looked_us = 0


class NightscoutFeed:
    """Its methods may be called from any thread, for one listener one after the other. Whether it may read is for the caller to
    ask."""

    def __init__(self, store: Store) -> None:
        self._store, self._reader = store, NightscoutReader(store)

    def begin(self, listener: Listener, collections: list[str], now_us: int) -> None:
        """Tell of what comes from now on, and of the last ten minutes."""
        from_ms = (now_us - _BEGINS_BEFORE_US) // _MS_US
        listener.collections = dict.fromkeys(collections, from_ms)
        listener.looked_us = 0

    def news(self, listener: Listener, now_us: int) -> list[Told]:
        """What has come since the last time, of each collection in the order of receipt."""
        lately = self._store.last_received(listener.device.patient, now_us - _LATELY_US)
        newest_us = dict(zip(("entries", "treatments"), lately, strict=True))
        is_due = now_us - listener.looked_us >= _ALL_AFTER_US
        found = list[Told]()
        for collection, from_ms in list(listener.collections.items()):
            if not is_due and newest_us[collection] // _MS_US < from_ms:
                continue
            documents = self._reader.history(listener.device, collection, from_ms, _AT_ONCE, now_us)
            found += [_told(collection, one) for one in documents]
            if documents and collection in listener.collections:
                listener.collections[collection] = max(int(str(one["srvModified"])) for one in documents) + 1
        if is_due:
            listener.looked_us = now_us
        return found


def _told(collection: str, document: Document) -> Told:
    """AndroidAPS takes what is created and what is updated alike, by its identifier."""
    if document["isValid"] is False:
        return "delete", {"colName": collection, "identifier": document["identifier"]}
    return "create", {"colName": collection, "doc": document}
