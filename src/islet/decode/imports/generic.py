"""Any table with headings: CSV, workbook, or a JSON array of flat objects, in English or Chinese.

A heading is known by itself or by what a person said (`mapping`: what it is to the heading). The unit of glucose stands
in its heading, in a column of its own, or is said; it is never told from the values. Numbers as times are milliseconds
or seconds since 1970, or a spreadsheet's days since 1899-12-30, which are local; the three cannot be taken for each other.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import BinaryIO, Final, Literal

from msgspec import structs

from islet.decode.imports import cells
from islet.decode.imports.found import Choices, DateOrder, Found, Item, Skipped, device_name, wrong
from islet.decode.imports.local_times import date_order, in_zone, local_time
from islet.decode.imports.records import loaded, records
from islet.decode.imports.tables import Cell, Row, rows
from islet.errors import BadInput
from islet.model.events import AnyEvent, Insulin, Meal, Medication, Method, Note
from islet.model.time import EPOCH
from islet.model.units import glucose_unit


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split("|"))


HEADINGS: Final[Mapping[str, frozenset[str]]] = {
    "time": frozenset(
        [
            "time",
            "timestamp",
            "datetime",
            "date time",
            "date/time",
            "date and time",
            "时间",
            "日期时间",
            "测量时间",
            "采集时间",
            "记录时间",
            "监测时间",
            "检测时间",
            "测试时间",
            "血糖时间",
            "日期/时间",
            "device timestamp",
            "local time",
            "datetime local",
        ]
    ),
    "date": _words("date|day|日期|测量日期|监测日期|检测日期|记录日期"),
    "clock": _words("time|clock|clock time|时间|时刻|测量时间|监测时间|检测时间|记录时间"),
    "glucose": frozenset(
        [
            "glucose",
            "glucose value",
            "blood glucose",
            "sensor glucose",
            "gl",
            "bg",
            "sgv",
            "cgm",
            "血糖",
            "血糖值",
            "葡萄糖",
            "葡萄糖值",
            "血糖浓度",
            "传感器血糖",
            "血糖数值",
            "血糖结果",
            "测量血糖",
            "传感器葡萄糖",
            "传感器葡萄糖值",
            "葡萄糖浓度",
            "动态血糖",
            "动态血糖值",
            "cgm glucose",
            "cgm glucose value",
            "historic glucose",
            "glucose level",
        ]
    ),
    "unit": _words("unit|units|单位|血糖单位"),
    "method": _words("type|method|source|类型|方式|测量方式"),
    "carbs": _words("carbs|carbohydrate|carbohydrates|carbs_g|碳水|碳水化合物|碳水化合物量"),
    "energy": _words("calories|energy|kcal|energy_kcal|热量|能量|卡路里"),
    "food": _words("food|meal|description|food description|食物|饮食|进食|进食内容"),
    "insulin": _words("insulin|insulin dose|dose_u|胰岛素|胰岛素剂量|胰岛素量"),
    "rapid": _words("fast_insulin|rapid insulin|rapid-acting insulin|bolus|速效胰岛素|餐时胰岛素|大剂量"),
    "long": _words("slow_insulin|long insulin|long-acting insulin|basal|长效胰岛素|基础胰岛素"),
    "drug": _words("drug|medication|medicine|药物|口服药|用药"),
    "ketone": _words("ketone|ketones|blood ketone|血酮|酮体"),
    "note": _words("note|notes|comment|comments|备注|说明"),
    "device": _words("device|serial|serial number|sensor|设备|设备号|序列号|传感器"),
    "person": _words(
        "patient|patient id|patient_id|patientid|subject|subject id|subject_id|subjectid|participant|participant id|"
        "participant_id|person|person id|患者|患者编号|患者id|病人|受试者|受试者编号|受试者id|姓名"
    ),
}
"""What a column can be, to the headings that say so; in small letters, without the unit in brackets."""

_IDS: Final = _words("id|编号")
_ROWS_OF_PERSON: Final = 10  # for each id, on the average; fewer are of numbered rows, some of them twice
_INSIDE: Final = ("records", "data", "entries")
_FINGER: Final = {"finger", "fingerstick", "capillary", "meter", "smbg", "bg", "指血", "指尖血", "末梢血"}
_WITHOUT: Final = re.compile(r"[(（\[].*?[)）\]]|m(g[/_]dl|mol[/_]l)", re.IGNORECASE)
_LONGEST_HEADING: Final = 200  # of what is longer the rest is not looked at
_LIMITS: Final = cells.DEXCOM
_FIRST_MS: Final = 1e11  # 1973 in milliseconds, the year 5138 in seconds
_LAST_MS: Final = 3e13  # the year 2920
_FIRST_S: Final = 1e8  # 1973 in seconds, the second day of 1970 in milliseconds
_DAYS: Final = (20_000.0, 100_000.0)  # 1954 to 2173 as a spreadsheet counts them
_DAY_0: Final = datetime(1899, 12, 30)  # noqa: DTZ001 - local, as a spreadsheet's dates are
_NUMBER: Final = re.compile(r"\d+(\.\d+)?")
_HEAD: Final = 20
_VALUES: Final = ("glucose", "carbs", "energy", "food", "insulin", "rapid", "long", "drug", "ketone", "note")
Places = Mapping[str, int]


def looks(head: Sequence[Row]) -> bool:
    """Whether one of the first rows has a heading for a time and one for a value."""
    try:
        return _header(head, {}) is not None
    except BadInput:  # more than one could be: it is a table, and the reader asks which
        return True


def read(stream: BinaryIO, choices: Choices) -> Iterator[Item]:
    """The items of a table."""
    yield from _read(list(rows(stream)), choices)


def looks_records(content: object) -> bool:
    """Whether JSON is an array, or has one under a name that arrays of records are under."""
    if isinstance(content, dict):
        return any(isinstance(content.get(name), list) for name in _INSIDE)
    return isinstance(content, list)


def read_records(stream: BinaryIO, choices: Choices) -> Iterator[Item]:
    """The items of a JSON array of flat objects; a line is a record, counted from 1."""
    objects = records(loaded(stream), *_INSIDE)
    heads = list(dict.fromkeys(name for one in objects for name in one))
    body = [[_flat(one.get(name), place, name) for name in heads] for place, one in enumerate(objects, start=1)]
    yield from _read([Row(0, heads), *(Row(place, values) for place, values in enumerate(body, start=1))], choices)


def _flat(value: object, place: int, name: str) -> Cell:
    return value if isinstance(value, str | int | float) else ""


def _read(table: Sequence[Row], choices: Choices) -> Iterator[Item]:
    header = _header(table, choices.mapping)
    if header is None:
        raise BadInput(
            "expected headings of a time and a value, such as time and glucose; say which column is which with "
            "--mapping time=HEADING --mapping glucose=HEADING",
            reason="format",
        )
    place, places = header
    heads = [cells.text(cell) for cell in table[place].cells]
    body = _of_one_person(table[place + 1 :], heads, choices)
    order = date_order(((row.line, _time_text(row, places)) for row in body), choices.date_order)
    unit = cells.unit_in(heads[places["glucose"]]) if "glucose" in places else None
    found: list[Found] = []
    skipped: list[Skipped] = []
    for row in body:
        local = _time(row, places, order, heads)
        device = device_name("table", cells.text(row.cell(places.get("device"))))
        items = list(_items(row, places, heads, unit or choices.unit, device))
        found += [one._replace(event=structs.replace(one.event, time=local)) for one in items]
        if not items:
            skipped.append(Skipped(row.line, "a row without a value"))
    yield from in_zone(found, choices.zone)
    yield from skipped


def _header(table: Sequence[Row], mapping: Mapping[str, str]) -> tuple[int, Places] | None:
    """Where the header is, and which column is what. Raises BadInput when a heading that was said is not there, or two
    columns could be the glucose."""
    for number, row in enumerate(table[:_HEAD]):
        heads = [cells.text(cell).lstrip("\ufeff") for cell in row.cells]
        if mapping and not all(heading in heads for heading in mapping.values()):
            continue
        places = _places(heads, mapping)
        timed = "time" in places or {"date", "clock"} <= places.keys()
        if timed and any(value in places for value in _VALUES):
            return number, places
    if mapping:
        raise BadInput("--mapping: expected headings that stand in one row of the file", reason="mapping")
    return None


def _plain(heads: Sequence[str]) -> list[str]:
    """Headings as they are compared: in small letters, without a unit."""
    return [_WITHOUT.sub("", head[:_LONGEST_HEADING]).strip(" _:：").lower() for head in heads]


def _places(heads: Sequence[str], mapping: Mapping[str, str]) -> Places:
    plain = _plain(heads)
    places: dict[str, int] = {}
    for what, names in HEADINGS.items():
        said = mapping.get(what)
        fits = [heads.index(said)] if said else [place for place, head in enumerate(plain) if head in names]
        if what == "glucose" and len(fits) > 1:
            told = ", ".join(heads[place] for place in fits)
            raise BadInput(
                f"several columns could be the glucose ({told}): say --mapping glucose=HEADING", reason="mapping"
            )
        if fits:
            places[what] = fits[0]
    if "date" in places and "clock" in places and "time" not in mapping:
        places.pop("time", None)  # the heading "time" beside a date is the clock
    return places


def _of_one_person(body: Sequence[Row], heads: Sequence[str], choices: Choices) -> Sequence[Row]:
    """The rows of the person who was chosen, or all where there is one. Raises BadInput, reason "people", for the rows of
    several people, all of which would become one patient's, and for a person who has none. A column called id is taken for
    theirs where it has `_ROWS_OF_PERSON` rows for each, for it may also number rows."""
    said = choices.mapping.get("person")
    for place, head in enumerate(_plain(heads)):
        if heads[place] != said if said else head not in HEADINGS["person"] | _IDS:
            continue
        told = [(row.line, text) for row in body if (text := cells.text(row.cell(place)))]
        people = {text for _, text in told}
        if choices.person is not None and choices.person in people:
            return [row for row in body if cells.text(row.cell(place)) == choices.person]
        numbers_rows = not said and head in _IDS and len(told) < _ROWS_OF_PERSON * len(people)
        if len(people) < 2 or numbers_rows:
            continue
        line = next(line for line, text in told if text != told[0][1])
        raise BadInput(
            f"line {line}, column {heads[place]}: expected one person; got {len(people)} in one table: say whose rows are "
            "meant (--person, as the column has it), or make a file of each (`islet metrics` takes many people in a CSV of "
            "id,time,gl, in UTF-8)",
            reason="people",
        )
    if choices.person is not None:
        raise BadInput("--person: expected somebody whom a column of the table names", reason="people")
    return body


def _time_text(row: Row, places: Places) -> str:
    if "time" in places:
        return cells.text(row.cell(places["time"]))
    return f"{_day_text(row.cell(places['date']))} {cells.text(row.cell(places['clock']))}".strip()


def _day_text(cell: Cell) -> str:
    return cell.strftime("%Y-%m-%d") if isinstance(cell, date) else cells.text(cell)


def _time(row: Row, places: Places, order: DateOrder, heads: Sequence[str]) -> datetime:
    if "time" not in places:
        column = f"{heads[places['date']]} and {heads[places['clock']]}"
        return local_time(_time_text(row, places), order, row.line, column)
    cell, column = row.cell(places["time"]), heads[places["time"]]
    if isinstance(cell, str) and _NUMBER.fullmatch(cell.strip()):
        cell = float(cell.strip())
    if isinstance(cell, int | float):
        return _counted(cell, row, column)
    if isinstance(cell, time | timedelta):
        raise wrong(row.line, column, "a date with the time", reason="time")
    return local_time(cell if isinstance(cell, date) else cells.text(cell), order, row.line, column)


def _counted(count: float, row: Row, column: str) -> datetime:
    """The time of a number: of days local, to a second, else an instant."""
    if _DAYS[0] <= count < _DAYS[1]:
        return _DAY_0 + timedelta(seconds=round(count * 86_400))
    if not _FIRST_S <= count < _LAST_MS:
        raise wrong(row.line, column, "a time, or milliseconds or seconds since 1970", reason="time")
    return (EPOCH + timedelta(milliseconds=count if count >= _FIRST_MS else count * 1000)).astimezone(UTC)


def _items(row: Row, places: Places, heads: Sequence[str], unit: str | None, device: str) -> Iterator[Found]:
    if "glucose" in places:
        own = cells.text(row.cell(places.get("unit")))
        finger = cells.text(row.cell(places.get("method"))).lower() in _FINGER
        method: Method = "capillary" if finger else "cgm"
        told = glucose_unit(own) if own else cells.unit_of("", unit)
        event = cells.reading(
            row.cell(places["glucose"]), told, _LIMITS[told], row.line, heads[places["glucose"]], method
        )
        if event is not None:
            yield Found(row.line, device_name(device, "meter" if finger else ""), event)
    yield from (Found(row.line, device, event) for event in _events(row, places, heads))


def _events(row: Row, places: Places, heads: Sequence[str]) -> Iterator[AnyEvent]:
    def amount(what: str) -> float | None:
        return cells.number(row.cell(places[what]), row.line, heads[places[what]]) if what in places else None

    def words(what: str) -> str:
        return cells.text(row.cell(places.get(what)))

    at = EPOCH
    carbs_g, energy_kcal, food = amount("carbs"), amount("energy"), words("food")
    if carbs_g is not None or energy_kcal is not None or food:
        yield Meal(time=at, carbs_g=carbs_g, energy_kcal=energy_kcal, text=food[:2000])
    kinds: tuple[tuple[str, Literal["bolus", "basal", "unknown"]], ...]
    kinds = (("rapid", "bolus"), ("long", "basal"), ("insulin", "unknown"))
    for what, kind in kinds:
        dose_u = amount(what)
        if dose_u:
            yield Insulin(time=at, dose_u=dose_u, kind=kind)
    if words("drug"):
        yield Medication(time=at, name=words("drug")[:200])
    ketone = amount("ketone")
    if ketone is not None:
        yield Note(time=at, text=f"Ketone {ketone:g} mmol/L")
    if words("note"):
        yield Note(time=at, text=words("note")[:2000])
