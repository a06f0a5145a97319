"""Nobody's details leave the device: whatever a field is called, and wherever they stand in a text."""

import json

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from islet.agent.intake import private_event
from islet.agent.privacy import Privacy, identifies, pseudonym
from islet.decode.iothub_twins import JsonObject
from tests.conftest import examples

NAMES = ("Anna", "Müller", "O'Brien", "王小明", "Nguyễn")
PHONES = ("+49 151 2345678", "(030) 1234-5678", "13912345678", "555.123.4567")
DATES = ("1980-05-03", "03.05.1980", "5/3/1980", "1980年5月3日", "3 May 1980", "May 3rd, 1980")
MAILS = ("anna@example.org", "a.mueller+x@mail.example.co.uk")
ADDRESSES = ("Hauptstraße 12", "12 Abbey Road", "建国路88号")
FIELDS = (
    "name", "patientName", "first_name", "last-name", "FULL NAME", "Vorname", "phone", "Phone Number", "mobilePhone",
    "tel", "address", "homeAddress", "street", "date_of_birth", "DOB", "birthDate", "Geburtsdatum", "email", "E-Mail",
    "patient_id", "patientId", "id", "ID", "SSN", "mrn", "姓名", "患者姓名", "电话", "手机号", "家庭住址", "出生日期",
    "身份证号", "病历号", "邮箱", "联系人", "name2", "username", "deviceName", "serialNumber", "Straße",
)  # fmt: skip
HARMLESS = ("value", "unit", "carbs_g", "dose_u", "text", "time", "type", "method", "range", "duration_min", "kind",
    "pulse_bpm", "systolic_mm_hg", "battery_percent", "status", "firmware", "intensity", "dose_unit", "energy_kcal", "schema")  # fmt: skip
SPELLINGS = (
    str, str.upper, str.lower, str.title, lambda s: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in s),
    lambda s: "\u200b".join(s), lambda s: f" {s} ", lambda s: f"user.{s}", lambda s: f"{s}_1",
)  # fmt: skip
secrets = st.sampled_from((*NAMES, *PHONES, *DATES, *MAILS, *ADDRESSES))
fields = st.builds(lambda field, spell: spell(field), st.sampled_from(FIELDS), st.sampled_from(SPELLINGS))
texts = st.sampled_from(("", "after lunch", "felt low 3.9", "血糖偏低", "20 g of bread,", "ok."))


@given(st.dictionaries(fields, secrets, min_size=1), st.integers(0, 3))
def test_a_field_that_names_somebody_goes_in_any_spelling_and_at_any_depth(found: dict[str, str], depth: int) -> None:
    record: JsonObject = {**found, "value": 5.6}
    for level in range(depth):
        record = {"type": "note", "more": [record] if level % 2 else record}
    said = msgspec.json.encode(Privacy().record(record)).decode()
    assert not any(secret in said for secret in found.values())
    assert "5.6" in said


def test_what_events_are_made_of_stays() -> None:
    assert [field for field in HARMLESS if identifies(field)] == []
    record: JsonObject = {"type": "insulin", "time": "2026-11-21T08:00:00Z", "dose_u": 4, "name": "NovoRapid"}
    assert Privacy().record(record) == record


@given(texts, st.sampled_from((*PHONES, *DATES, *MAILS, *ADDRESSES)), texts)
def test_numbers_dates_and_addresses_go_out_of_texts(before: str, secret: str, after: str) -> None:
    said = Privacy().text(f"{before} {secret} {after}")
    assert secret not in said


@given(texts, st.sampled_from(NAMES), st.sampled_from(SPELLINGS[:6]), texts)
def test_what_the_owner_wrote_down_goes_out_of_texts_in_any_case(before: str, name: str, spell, after: str) -> None:  # type: ignore[no-untyped-def]
    said = Privacy(NAMES).text(f"{before} {spell(name)} {after}")
    assert name.casefold() not in said.casefold()
    assert spell(name) not in said


def test_a_detail_that_is_part_of_more_does_not_keep_the_rest() -> None:
    """Those who wrote down a birthday and a name must not lose less than those who did not."""
    privacy = Privacy(["Jo Doe", "1980-05-04", "王小明"])
    for text, secrets in {
        "born 04.05.1980, well": ("04", "05"),
        "born May 4th, 1980": ("May", "4th"),
        "1980年5月4日生": ("5月4日",),
        "jo.doe@example.com": ("example",),
        "my nurse John Smith came": ("hn", "Smith"),
        "小明吃了饭": ("小明",),
    }.items():
        assert not [one for one in secrets if one in privacy.text(text)]


def test_numbers_in_chinese_words_and_short_streets_go() -> None:
    for text in ("出生于一九八零年五月四日", "电话一三八零零一三八零零零", "wohnt Hauptstr 12"):
        assert "[…]" in Privacy().text(text) and not set("八12") & set(Privacy().text(text))


def test_what_is_taken_out_makes_no_text_longer_than_may_be_sent() -> None:
    line = json.dumps({"type": "note", "time": "2026-11-21T08:00:00Z", "text": "Jo …" * 500}).encode()
    assert len(private_event(line, Privacy(["Jo"])).text) == 2000  # type: ignore[union-attr]


def test_the_name_of_a_firmware_is_no_place_for_a_detail() -> None:
    for firmware in ("王小明", "jo-7"):
        line = json.dumps({"type": "device_status", "time": "2026-11-21T08:00:00Z", "firmware": firmware}).encode()
        assert b"firmware" not in msgspec.json.encode(private_event(line, Privacy(["Jo"])))


def test_names_are_seen_by_what_stands_around_them() -> None:
    privacy = Privacy()
    for text in (
        "Dr. Huber says so",
        "my name is jo",
        "lunch with Peter",
        "Went to see Peter Miller",
        "我叫王小明，很好",
        "李医生说",
    ):
        assert "[…]" in privacy.text(text)
        assert not any(name in privacy.text(text) for name in ("Huber", "jo", "Peter", "Miller", "王小明", "李"))


def test_a_text_without_details_stays_as_it_is() -> None:
    for text in ("felt low after lunch, 20 g of bread", "took 12 units at 08:15, 180-200 mg/dL", "早餐后血糖 8.6"):
        assert Privacy().text(text) == text


def test_without_texts_none_is_sent() -> None:
    line = b'{"type":"note","time":"2026-11-21T08:00:00Z","text":"anything","patient":"Jo Doe"}'
    assert msgspec.json.encode(private_event(line, Privacy(texts=False))) == (
        b'{"type":"note","time":"2026-11-21T08:00:00Z","text":""}'
    )


EVENTS = (
    {"type": "note", "text": "{}"},
    {"type": "meal", "text": "{}", "carbs_g": 5.6},
    {"type": "insulin", "name": "{}", "dose_u": 5.6},
    {"type": "medication", "name": "{}", "dose_unit": "{}", "dose": 5.6},
    {"type": "exercise", "kind": "{}", "duration_min": 5.6},
    {"type": "device_status", "firmware": "of {}"},
    {"type": "reading", "value": 5.6, "unit": "mmol/L"},
)


@settings(max_examples=examples(60))
@given(st.sampled_from(EVENTS), secrets, st.dictionaries(fields, secrets), st.dictionaries(st.text(), secrets))
def test_of_an_event_nothing_leaves_that_is_a_detail(
    event: dict[str, object], secret: str, named: dict[str, str], unknown: dict[str, str]
) -> None:
    """Wherever the detail stands: in a text, in a field of its own, in a field that nobody has heard of."""
    filled = {key: value.format(secret) if isinstance(value, str) else value for key, value in event.items()}
    line = json.dumps({**unknown, **named, **filled, "time": "2026-11-21T08:00:00Z"}).encode()
    details = (*NAMES, *PHONES, *DATES, *MAILS, *ADDRESSES)
    said = msgspec.json.encode(private_event(line, Privacy(NAMES))).decode()
    assert not [detail for detail in details if detail in said]


@given(st.sampled_from(NAMES), st.binary(min_size=16, max_size=64))
def test_a_pseudonym_is_the_keys_and_tells_nothing(name: str, key: bytes) -> None:
    one = pseudonym(key, name)
    assert one == pseudonym(key, f"  {name.upper()} ") and one != pseudonym(key + b"\1", name)
    assert len(one) == 34 and name not in one
