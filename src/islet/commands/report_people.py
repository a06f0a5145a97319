"""Whom `islet report` is about: everybody in a file, or patients of the data directory."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import tzinfo
from pathlib import Path

from islet.clock import wall_us
from islet.decode.imports.detect import Format, detected
from islet.decode.imports.found import Choices
from islet.decode.imports.parts import DAMAGED, damaged, parts
from islet.decode.imports.preview import Preview, tallied
from islet.errors import BadInput, IsletError
from islet.model.events import AnyEvent
from islet.opened import opened_log, opened_store
from islet.operations.locks import only_one
from islet.reports.recorded import Recorded, recorded_of
from islet.settings import Settings
from islet.store.base import Store
from islet.store.follow import Follower


def of_file(file: Path, *, id: str, choices: Choices, zone: tzinfo | None, chosen: Format | None = None) -> Recorded:
    """The one person whose export this is (`islet import` knows the formats); days begin at midnight in `zone`, or in
    the zone that the file's times are in. Raises BadInput, with the file's name, for what cannot be understood."""
    events: list[AnyEvent] = []
    try:
        with file.open("rb") as stream:
            for part in parts(stream, file.name):
                try:
                    format = chosen or detected(part.stream, mapped=bool(choices.mapping))
                except BadInput:
                    if not part.archived:
                        raise
                    continue  # a picture or a letter beside the exports
                items = format.read(part.stream, choices)
                events += [found.event for found in tallied(items, Preview(), latest_us=wall_us())]
        return recorded_of(events, id=id, zone=zone)
    except BadInput as error:
        raise BadInput(f"{file.name}: {error}", reason=error.reason) from None
    except DAMAGED:
        raise damaged(file.name) from None


@contextmanager
def store_as_of_now(settings: Settings) -> Iterator[Store]:
    """The store with all that the log holds: brought up to date here, unless a platform that runs does it."""
    with opened_store(settings) as store, ExitStack() as held:
        try:
            held.enter_context(only_one(settings.data_dir, ["store"]))
        except IsletError:  # a platform runs
            yield store
            return
        with opened_log(replace(settings, roles=("report",))) as log:  # else a Kafka log takes us for the engine
            follower = Follower(log, store)
            while follower.run_once(0.0):
                pass
        held.close()
        yield store
