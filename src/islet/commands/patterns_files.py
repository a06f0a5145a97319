"""One person's days out of exports, for commands that need no platform."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from islet.clock import wall_us
from islet.decode.imports.detect import detected
from islet.decode.imports.found import Choices
from islet.decode.imports.parts import DAMAGED, damaged, parts
from islet.decode.imports.preview import Preview, tallied
from islet.decode.shanghai import SHANGHAI
from islet.errors import BadInput
from islet.model.care_events import holding
from islet.model.events import AnyEvent, Reading
from islet.model.series import Series
from islet.model.time import to_us
from islet.model.units import glucose_tenths, glucose_unit
from islet.patterns.findings import PersonDays

_RANGES = {"below": -1, "within": 0, "above": 1}


def days_in(files: Sequence[Path], choices: Choices) -> PersonDays:
    """What all the files say of one person; of readings the sensor's, as fingersticks are not worn. Raises BadInput, with
    the file's name, for one that cannot be understood."""
    told: list[tuple[str, AnyEvent]] = []
    for file in files:
        try:
            with file.open("rb") as stream:
                for part in parts(stream, file.name):
                    items = detected(part.stream, mapped=bool(choices.mapping)).read(part.stream, choices)
                    told += [(one.device, one.event) for one in tallied(items, Preview(), latest_us=wall_us())]
        except BadInput as error:
            raise BadInput(f"{file.name}: {error}", reason=error.reason) from None
        except DAMAGED:
            raise damaged(file.name) from None
    events = holding(told)
    sensor = [one for one in events if isinstance(one, Reading) and one.method == "cgm"]
    return PersonDays(
        id=files[0].stem if len(files) == 1 else "",
        series=_series(sensor),
        events=tuple(sorted((one for one in events if not isinstance(one, Reading)), key=lambda one: one.time)),
        zone=choices.zone or SHANGHAI,
    )


def _series(readings: Sequence[Reading]) -> Series:
    """Ascending, one reading an instant: the last that is said of it."""
    by_time = {to_us(one.time): one for one in readings}
    ordered = sorted(by_time.items())
    return Series(
        time_us=np.array([at for at, _ in ordered], np.int64),
        glucose_tenths=np.array([glucose_tenths(one.value, glucose_unit(one.unit)) for _, one in ordered], np.int32),
        range=np.array([_RANGES[one.range] for _, one in ordered], np.int8),
    )
