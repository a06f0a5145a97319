"""A whole platform and its people: a reading raises an alarm, channels carry it, somebody answers from one of them."""

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from islet.access.passwords import hash_password, new_token, token_hash
from islet.access.sas import make_token
from islet.alarms import Alarms, Heart
from islet.clock import wall_us
from islet.contacts.book import ContactBook
from islet.engine.rulebook import RuleBook
from islet.engine.rules import load_rules
from islet.log.base import Append, CursorMove
from islet.log.group_commit import GroupCommit
from islet.log.keys import data_key
from islet.log.memory import MemoryLog
from islet.model.alerts import AlertChange, Severity
from islet.model.batch import METHOD_CODES, ReadingRow, readings_batch
from islet.model.codec import change_documents
from islet.model.people import Patient, Role, User
from islet.model.time import HOUR_US, MINUTE_US, SECOND_US, iso
from islet.model.topics import Topic
from islet.notify.recipients import Contact
from islet.opened import opened_registry, opened_store
from islet.provision import ensure_worn
from islet.settings import Settings, load
from islet.store.base import Registry
from islet.store.consents import set_consent
from islet.store.follow import Follower
from tests.notify.fake_http import FakeHttp, fake_http
from tests.notify.fake_smtp import FakeSmtp, fake_smtp
from tests.notify.fake_telegram import FakeTelegram, fake_telegram
from tests.platform.process import PlatformProcess

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = load_rules()
SECRET = "whsec_" + "QUJD" * 8
ADDRESS = "anna@example.org"


class Ward:
    """A platform in its own process, the other sides of its channels, and a device."""

    def __init__(self, folder: Path, telegram: FakeTelegram, smtp: FakeSmtp, hook: FakeHttp) -> None:
        self.telegram, self.smtp, self.hook = telegram, smtp, hook
        self.environment = {
            "ISLET_DATA_DIR": str(folder),
            "ISLET_HUB_NAME": "localhost",
            "ISLET_TELEGRAM_TOKEN": "1:secret",
            "ISLET_TELEGRAM_CHAT": "77",
            "ISLET_TELEGRAM_BASE_URL": telegram.base_url,
            "ISLET_SMTP_HOST": "127.0.0.1",
            "ISLET_SMTP_PORT": str(smtp.port),
            "ISLET_SMTP_SECURITY": "none",
            "ISLET_SMTP_SENDER": "islet@example.org",
            "ISLET_NOTIFY_ALLOWED_NETWORKS": "127.0.0.0/8",
        }
        self.settings: Settings = load(None, self.environment)
        self._people(hook)
        self.platform = PlatformProcess(folder, self.environment | {"ISLET_PUBLIC_URL": "http://127.0.0.1"})

    def _people(self, hook: FakeHttp) -> None:
        with opened_registry(self.settings) as registry:
            people = {"cgm-1": Patient(id="p-1", label="Ada Example"), "cgm-2": Patient(id="p-2")}
            self.keys = {id: ensure_worn(registry, one, id, "localhost").key for id, one in people.items()}
            for name, role in (("anna", Role.CARE_PARTNER), ("other", Role.CARE_PARTNER), ("test", Role.ADMINISTRATOR)):
                sees = ("p-1", "p-2") if name == "anna" else ()
                registry.put_user(User(name=name, role=role, password_hash=hash_password(new_token()), patients=sees))
                for patient in sees:
                    set_consent(registry, name, patient, given=True, by=patient, at_us=wall_us())
            self.token = new_token()
            registry.create_session(token_hash(self.token), "test", wall_us() + HOUR_US)
            book = ContactBook(registry, wall_us)
            program = json.dumps({"url": hook.base_url + "/hook", "secrets": [SECRET]})
            for contact in (
                Contact(id="anna", channel="email", address=ADDRESS, user="anna"),
                Contact(id="other", channel="email", address="other@example.org", user="other"),
                Contact(id="program", channel="webhook", address=program),
            ):
                book.put(contact, by="test", at_us=wall_us())

    def sends(self, device: str, mg_dl: float) -> None:
        """What a device measures now."""
        body = {"type": "reading", "time": iso(wall_us()), "value": mg_dl, "unit": "mg/dL"}
        token = make_token(f"localhost/devices/{device}", self.keys[device], wall_us() // SECOND_US + 600)
        path, version = f"/devices/{device}/messages/events", {"api-version": "2021-04-12"}
        answer = self.platform.http.post(path, json=body, headers={"authorization": token}, params=version)
        assert answer.status_code == 204, answer.text

    def urgent(self) -> dict[str, Any]:
        """The one urgent alert; people may be told a few ms before the pages have it."""
        until(lambda: any(one["rule"] == "urgent_low" for one in self.asks("/api/alerts")["active"]))
        (found,) = (one for one in self.asks("/api/alerts")["active"] if one["rule"] == "urgent_low")
        assert isinstance(found, dict)
        return found

    def asks(self, path: str) -> Any:
        headers = {"authorization": f"Bearer {self.token}"}
        return self.platform.http.get(path, headers=headers).raise_for_status().json()


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    tmp_path = tmp_path_factory.mktemp("ward")
    with fake_telegram() as telegram, fake_smtp() as smtp, fake_http() as hook:
        one = Ward(tmp_path, telegram, smtp, hook)
        one.platform.start()
        one.platform.wait_until_ready()
        yield one
        one.platform.kill()


def until(what: Callable[[], object], seconds: float = 20.0) -> None:
    """Return once that is true."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.05)


def test_an_alarm_reaches_its_people_and_is_acknowledged_from_telegram_and_by_link(ward: Ward) -> None:
    ward.sends("cgm-1", 50)
    until(lambda: "sendMessage" in str(ward.telegram.requests) and ward.smtp.mails and ward.hook.requests)
    said = [ward.telegram.texts_sent()[0], ward.smtp.mails[0], ward.hook.requests[0].body.decode()]
    assert all("Urgent low" in text for text in said)
    assert not any("Ada" in text or "mg/dL" in text for text in said), "no name and no value without consent"
    assert not any("other@example.org" in mail for mail in ward.smtp.mails), "who may not see a patient is not told"

    alert = ward.urgent()
    assert alert["acknowledged_us"] is None
    ward.telegram.press()
    until(lambda: ward.urgent()["acknowledged_us"])
    assert ward.urgent()["acknowledged_by"] == "telegram 77"
    until(lambda: any(path.endswith("/editMessageText") for path, _ in ward.telegram.calls()))

    link = json.loads(ward.hook.requests[0].body)["data"]["acknowledge_url"].replace(
        "http://127.0.0.1", ward.platform.url
    )
    http = ward.platform.http
    shown = http.get(link, headers={"accept": "text/html"}).text
    assert "<form" in shown, "a link that is followed only shows a button"
    assert http.post(link).json() == {"answer": "acknowledged"}
    assert http.post(link[:-3] + "AAA").status_code == 404
    told = ward.asks(f"/api/alerts/{alert['id']}/deliveries")["told"]
    assert {(one["channel"], one["state"]) for one in told if one["kind"] == "opened"} == {
        ("console", "sent"),
        ("email", "sent"),
        ("telegram", "sent"),
        ("webhook", "sent"),
    }

    assert (ward.settings.data_dir / "engine.tick").exists(), "the engine gives a sign of life"
    log = (ward.settings.data_dir / "serve.log").read_text()
    assert "secret" not in log
    assert ADDRESS not in log


def test_an_address_that_refuses_is_shown_as_undeliverable(ward: Ward) -> None:
    ward.smtp.script.append("550 no such mailbox")
    ward.sends("cgm-2", 50)
    until(lambda: "undeliverable" in ward.asks("/api/troubles").values())
    ((alert, _),) = ward.asks("/api/troubles").items()
    assert "p-2" in alert
    told = ward.asks(f"/api/alerts/{alert}/deliveries")["told"]
    assert [one["reason"] for one in told if one["state"] == "undeliverable"] == [
        "email: 550, the server refuses the recipient or the message"
    ]


class Desk:
    """The part that sends, in this process, with a log that is written by hand."""

    def __init__(self, folder: Path, registry: Registry, telegram: FakeTelegram, language: str = "en") -> None:
        self.folder, self.registry, self.telegram = folder, registry, telegram
        settings = Settings(
            data_dir=folder,
            telegram_token="1:secret",
            telegram_chat="77",
            telegram_base_url=telegram.base_url,
            engine_silent_min=2.0,
            notify_language=language,
        )
        self.log, self.now_us, self.ahead_us = MemoryLog(partitions=1), wall_us(), 0
        self.commit = GroupCommit(self.log, wall_us, within_s=0.0)
        key = data_key(settings, {})
        self._opened = opened_store(settings)
        self.store = self._opened.__enter__()
        more = {"wall": lambda: self.now_us, "rng": Random(1), "kept_from_us": lambda: 0, "console": False}
        book = RuleBook(registry, SHIPPED)
        self.alarms = Alarms(
            settings,
            key,
            self.log,
            self.commit,
            registry,
            book,
            self.now,
            store=self.store,
            **more,  # type: ignore[arg-type]
        )

    def now(self) -> int:
        """The platform's clock."""
        return wall_us() + self.ahead_us

    def close(self) -> None:
        self.alarms.close()
        self._opened.__exit__(None, None, None)
        self.commit.close()

    def reads(self, us: int) -> None:
        """A reading of that instant comes, and the store has it; the engine has not looked at it."""
        batch = readings_batch([ReadingRow("p-1", "cgm-1", us, 500, 50.0, 0, 0, METHOD_CODES.index("cgm"))])
        self.commit.commit(appends=[Append(topic=Topic.GLUCOSE_READINGS, batch=batch)])
        Follower(self.log, self.store).run_once(0)

    def opens(self, rule: str = "urgent_low", ago_us: int = 0) -> str:
        """The engine says that something began."""
        now_us = wall_us() - ago_us
        change = AlertChange(
            change="opened", rule=rule, patient="p-1", onset_us=now_us, at_us=now_us, severity=Severity.URGENT
        )
        self.commit.commit(appends=[Append(topic=Topic.ALERTS, batch=change_documents([change]))])
        return change.id

    def told(self, many: int, after_s: int = 60) -> list[str]:
        """What was sent, once there are so many messages; each look comes `after_s` later than the one before."""

        def looks() -> bool:
            self.now_us += after_s * SECOND_US
            self.alarms.tell()
            return len(self.telegram.texts_sent()) >= many

        until(looks)
        return self.telegram.texts_sent()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with fake_telegram() as telegram, opened_registry(Settings(data_dir=tmp_path)) as registry:
        registry.put_patient(Patient(id="p-1"))
        one = Desk(tmp_path, registry, telegram)
        yield one
        one.close()


def test_an_engine_that_stops_ticking_pages_the_operator(desk: Desk) -> None:
    """Of a platform in two processes, this is the one that sends; the other's engine hangs."""
    tick = desk.folder / "engine.tick"
    tick.touch()
    assert desk.told(1)[0].startswith("Alarms are not working")
    os.utime(tick, ns=(2**62, 2**62))
    assert desk.told(2)[-1].startswith("Alarms are working again")


def test_an_engine_that_stops_after_the_clock_was_put_back_is_missed(desk: Desk) -> None:
    tick = desk.folder / "engine.tick"
    heart, before_us = Heart(tick, lambda: desk.now_us), desk.now_us
    heart.beat()
    desk.now_us -= 24 * HOUR_US
    tick.unlink()
    heart.beat()
    assert tick.exists(), "the beat does not wait for the old clock"
    os.utime(tick, ns=(desk.now_us * 1000, desk.now_us * 1000))
    desk.alarms.heart = Heart(tick, lambda: desk.now_us)
    assert desk.told(1)[0].startswith("Alarms are not working")
    assert desk.now_us < before_us


def test_an_engine_that_stopped_before_the_clock_was_put_back_is_missed(tmp_path: Path) -> None:
    now_us = wall_us()
    tick = tmp_path / "engine.tick"
    heart = Heart(tick, lambda: now_us)
    heart.beat()
    before_us, now_us = now_us, now_us - 24 * HOUR_US
    assert heart.last_us() == now_us
    now_us += 10 * MINUTE_US
    assert heart.last_us() == before_us - 24 * HOUR_US


def test_a_log_that_is_long_in_saying_how_far_the_engine_is_holds_up_nobody_who_writes(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One on Kafka may not answer for half a minute, and all processes of the node write into the same file."""
    asked, cursor = list[Topic](), desk.log.cursor

    def slow(consumer: str, topic: Topic) -> tuple[int, ...]:
        desk.registry.put_patient(Patient(id="p-2"))  # raises while the outbox is in a transaction
        asked.append(topic)
        return cursor(consumer, topic)

    monkeypatch.setattr(desk.log, "cursor", slow)
    desk.reads(wall_us())
    desk.commit.commit(cursors=[CursorMove(consumer="engine", topic=Topic.GLUCOSE_READINGS, partition=0, offset=1)])
    desk.opens(ago_us=2 * HOUR_US)
    desk.alarms.tell()
    desk.ahead_us += 61 * SECOND_US
    assert len(desk.told(1)) == 1
    assert Topic.GLUCOSE_READINGS in asked


def test_where_no_engine_ever_ran_nobody_misses_it(desk: Desk) -> None:
    desk.opens()
    assert len(desk.told(1)) == 1
    for _ in range(3):
        desk.now_us += 10 * MINUTE_US
        desk.alarms.tell()
    assert len(desk.telegram.texts_sent()) == 1


def test_an_address_that_is_entered_while_an_alert_goes_on_is_told_in_its_persons_language(desk: Desk) -> None:
    alert = desk.opens()
    desk.told(1)
    desk.alarms.tell()  # looks at it once more, as it was delivered
    anna = User(name="anna", role=Role.CARE_PARTNER, password_hash="", patients=("p-1",), language="zh-CN")
    desk.registry.put_user(anna)
    set_consent(desk.registry, "anna", "p-1", given=True, by="p-1", at_us=wall_us())
    contact = Contact(id="anna", channel="telegram", address="55", user="anna")
    desk.alarms.book.put(contact, by="anna", at_us=wall_us())
    assert desk.told(2)[1].startswith("紧急低血糖\n紧急低血糖：患者 p-1 ")
    assert desk.alarms.acknowledge(alert, contact)


def test_who_may_not_see_the_patient_any_more_cannot_acknowledge(desk: Desk) -> None:
    alert = desk.opens()
    desk.told(1)
    anna = User(name="anna", role=Role.CARE_PARTNER, password_hash="", patients=("p-1",))
    contact = Contact(id="anna", channel="telegram", address="55", user="anna")
    for user in (replace(anna, patients=()), replace(anna, enabled=False), replace(anna, role=Role.APPLICATION)):
        desk.registry.put_user(user)
        assert not desk.alarms.acknowledge(alert, contact), user.role
    assert not desk.alarms.acknowledge(alert, replace(contact, user="nobody"))
    assert not desk.alarms.acknowledge("urgent_low~p-1~1", Contact(id="77", channel="telegram", address="77"))
    assert sum(desk.log.end(Topic.ALERTS)) == 1
    desk.registry.put_user(anna)
    assert not desk.alarms.acknowledge(alert, contact), "the patient has not consented yet"
    set_consent(desk.registry, "anna", "p-1", given=True, by="p-1", at_us=wall_us())
    assert desk.alarms.acknowledge(alert, contact)
    assert sum(desk.log.end(Topic.ALERTS)) == 2


def test_a_rule_that_is_added_is_called_by_its_title_at_once(desk: Desk) -> None:
    desk.opens()
    desk.told(1)
    text = (ROOT / "src" / "islet" / "rules" / "urgent_low.sql").read_text(encoding="utf-8")
    own = text.replace('name = "urgent_low"', 'name = "far_too_low"').replace(
        'title = "Urgent low"', 'title = "Much too low"'
    )
    RuleBook(desk.registry, SHIPPED).add(own, by="x", at_us=wall_us())
    desk.opens("far_too_low")
    assert desk.told(2)[-1].startswith("Much too low")


def test_an_alert_of_an_outage_pages_once_the_engine_has_seen_a_young_reading_and_it_goes_on(desk: Desk) -> None:
    desk.opens(ago_us=40 * MINUTE_US)
    desk.alarms.tell()
    desk.reads(wall_us())
    for _ in range(2):  # the engine may be about to say that it has ended
        desk.ahead_us += 61 * SECOND_US
        desk.alarms.tell()
    assert desk.telegram.texts_sent() == []
    desk.commit.commit(cursors=[CursorMove(consumer="engine", topic=Topic.GLUCOSE_READINGS, partition=0, offset=1)])
    desk.ahead_us += 61 * SECOND_US
    assert desk.told(1)[0].startswith("Urgent low")
