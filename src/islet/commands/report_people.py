"""Whom `islet report` is about, where it is somebody in a file."""

from datetime import tzinfo
from pathlib import Path

from islet.clock import wall_us
from islet.decode.imports.detect import Format, detected
from islet.decode.imports.found import Choices
from islet.decode.imports.parts import DAMAGED, damaged, parts
from islet.decode.imports.preview import Preview, tallied
from islet.errors import BadInput
from islet.model.care_events import holding
from islet.model.events import AnyEvent
from islet.reports.recorded import Recorded, recorded_of


def of_file(file: Path, *, id: str, choices: Choices, zone: tzinfo | None, chosen: Format | None = None) -> Recorded:
    """The one person whose export this is (`islet import` knows the formats); days begin at midnight in `zone`, or in
    the zone that the file's times are in. Raises BadInput, with the file's name, for what cannot be understood."""
    told: list[tuple[str, AnyEvent]] = []
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
                told += [(one.device, one.event) for one in tallied(items, Preview(), latest_us=wall_us())]
        return recorded_of(holding(told), id=id, zone=zone)
    except BadInput as error:
        raise BadInput(f"{file.name}: {error}", reason=error.reason) from None
    except DAMAGED:
        raise damaged(file.name) from None
