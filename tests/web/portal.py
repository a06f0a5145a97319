"""A portal over real parts (a log in memory, the encrypted store on disk), with a clock that stands until moved."""

import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import httpx
import msgspec
import pyarrow as pa
import uvicorn

from islet.access.passwords import hash_password, new_token, token_hash
from islet.contacts.book import ContactBook
from islet.engine.rulebook import RuleBook
from islet.engine.rules import load_rules
from islet.erasure.patients import Holders, erase_patient
from islet.errors import SettingError
from islet.forecast.personal import JOB, Fitted, Learnt
from islet.forecast.serving import shipped
from islet.gateways.claims import make_claim
from islet.log.base import Append
from islet.log.group_commit import GroupCommit
from islet.log.memory import MemoryLog
from islet.model.alerts import AlertChange, Severity
from islet.model.batch import DocumentRow, ReadingRow, documents_batch, readings_batch
from islet.model.codec import encode_change
from islet.model.job_runs import Kept, Run, encode_kept
from islet.model.people import Patient, Role, User
from islet.model.time import HOUR_US, MINUTE_US, to_us
from islet.model.topics import Topic
from islet.notify.base import Delivered, Failed, Message, Notifier, Outcome
from islet.notify.outbox import Outbox
from islet.notify.recipients import Contact
from islet.store.base import EntryKind
from islet.store.consents import set_consent
from islet.store.device_file_rows import Bounds, DeviceFile
from islet.store.device_files import DeviceFiles
from islet.store.devices import SqliteDevices
from islet.store.devices_base import Address
from islet.store.follow import Follower
from islet.store.registry import SqliteRegistry
from islet.store.sqlite import SqliteStore
from islet.web.app import LiveHub, WebContext, application
from islet.web.context import WebAlarms, WebDevices
from islet.web.uploads import Uploads

PASSWORD = "correct horse battery staple"
HASH = hash_password(PASSWORD)
KEY = bytes(range(32))
SHIPPED = load_rules()
NOW_US = to_us(datetime(2026, 3, 2, 8, 0, tzinfo=UTC))


def _check(contact: Contact) -> None:
    if contact.channel == "email" and "@" not in contact.address:
        raise SettingError("email: expected name@host")


class Site:
    """One portal. `client` asks it without a network; `serve` puts it on a loopback port for streams and browsers."""

    def __init__(self, folder: Path, *, speed: float = 1.0, partitions: int = 2) -> None:
        self.now_us = NOW_US
        self.log = MemoryLog(partitions=partitions)
        self.store = SqliteStore(folder / "store.db", KEY)
        self.registry = SqliteRegistry(folder / "store.db", KEY)
        self.devices = SqliteDevices(folder / "store.db", KEY)
        self.told = list[Address]()
        self.commit = GroupCommit(self.log, self.now, within_s=0.0)
        self.live = LiveHub(self.log, self.registry, self.now)
        self.book = ContactBook(self.registry, self.now)
        self.sent: list[Message] = []
        self.outbox = Outbox(
            folder / "store.db",
            KEY,
            page_max_age_min=30.0,
            notify_give_up_h=24.0,
            rng=Random(1),
            directory=self.book,
            channels={"email": self._open},
            acknowledge=self.acknowledge,
        )
        self.uploads = Uploads(self.log, self.commit.commit, self.now, folder=folder / "uploads", most_bytes=2_000_000)
        self.device_files = DeviceFiles(
            folder / "store.db", folder / "device-files", KEY, Bounds(file_bytes=1_000_000, device_bytes=2_000_000)
        )
        self.context = self._context(speed)
        self.app = application(self.context)
        self._follower = Follower(self.log, self.store)

    def _context(self, speed: float) -> WebContext:
        alarms = WebAlarms(
            outbox=self.outbox,
            book=self.book,
            channels=("email", "webpush"),
            check=_check,
            push_key="BAAA",
            received=lambda update, secret: secret == "right",
        )
        return WebContext(
            alarms=alarms,
            uploads=self.uploads,
            device_files=self.device_files,
            store=self.store,
            registry=self.registry,
            log=self.log,
            commit=self.commit,
            live=self.live,
            now=self.now,
            speed=speed,
            secure=False,
            rules=RuleBook(self.registry, SHIPPED),
            devices=WebDevices(
                hub_name="hub.example",
                jobs=self.devices,
                mailboxes=self.devices,
                twins=self.devices,
                activities=self.devices,
                waits=self.told.append,
                claim=self._claim,
                wall_now=self.now,
            ),
            erase=self._erase,
        )

    def _erase(self, patient: str, by: str) -> None:
        holders = Holders(
            registry=self.registry, store=self.store, outbox=self.outbox, devices=self.devices, files=self.device_files
        )
        erase_patient(holders, patient, by=by, at_us=self.now_us)

    def now(self) -> int:
        return self.now_us

    def _claim(self, device: str, patient: str, by: str) -> str:
        return make_claim(self.registry, device, patient, by=by, now_us=self.now_us)

    def _open(self, contact: Contact) -> Notifier:
        """A mailbox; the one called `broken` takes nothing."""
        sent = self.sent

        class Mailbox:
            name, recipient = contact.channel, contact.id

            def send(self, message: Message, now_us: int) -> Outcome:
                if "broken" in contact.address:
                    return Failed("email: 550, the server refuses the recipient or the message")
                sent.append(message)
                return Delivered()

        return Mailbox()

    def acknowledge(self, alert: str, contact: Contact) -> bool:
        """As the app does it, for the alerts of p-1."""
        rule, patient, onset = alert.split("~")
        if patient != "p-1":
            return False
        onset_us = int(onset)
        self.add_change(
            AlertChange(
                change="acknowledged",
                rule=rule,
                patient=patient,
                onset_us=onset_us,
                at_us=self.now_us,
                by=contact.user,
            )
        )
        return True

    def tell(self) -> None:
        """What the worker that sends does."""
        self.outbox.take_in(self.log, self.now_us)
        while self.outbox.deliver_due(self.now_us):
            self.outbox.schedule(self.now_us)

    def close(self) -> None:
        self.live.close()
        self.uploads.close()
        self.commit.close()
        self.outbox.close()
        self.device_files.close()
        self.devices.close()
        self.registry.close()
        self.store.close()

    def add_patient(self, id: str, label: str = "", *, time_zone: str = "UTC") -> None:
        self.registry.put_patient(Patient(id=id, label=label, time_zone=time_zone))

    def add_lines(self, lines: Mapping[str, bytes], *, model: str | None = None) -> None:
        """As the nightly job leaves them, by patient; learnt from the shipped model where none is named."""
        fitted = Fitted(
            model=shipped().fingerprint if model is None else model,
            people={patient: Learnt(learnt_us=self.now_us, lines=mine) for patient, mine in lines.items()},
        )
        run = Run(due_us=self.now_us, began_us=self.now_us, ended_us=self.now_us, outcome="done")
        kept = Kept(run=run, done_us=self.now_us, result=msgspec.Raw(msgspec.json.encode(fitted)))
        self.registry.put_entry(EntryKind.JOB, JOB, encode_kept(kept), by="islet", at_us=self.now_us)

    def add_user(
        self,
        name: str,
        role: Role,
        *patients: str,
        language: str = "en",
        unit: str = "mg/dL",
        consents: bool = True,
    ) -> User:
        """Somebody of these patients, who have said yes to a care partner unless not `consents`."""
        user = User(name=name, role=role, password_hash=HASH, patients=patients, language=language, unit=unit)
        self.registry.put_user(user)
        if role is Role.CARE_PARTNER and consents:
            for patient in patients:
                set_consent(self.registry, name, patient, given=True, by=patient, at_us=self.now_us)
        return user

    def token(self, user: str) -> str:
        """A session's token, as log-in or an API key makes it."""
        token = new_token()
        self.registry.create_session(token_hash(token), user, self.now_us + HOUR_US)
        return token

    def add_readings(
        self, patient: str, values: Sequence[float], *, every_min: float = 5, end_us: int = 0, device: str = ""
    ) -> None:
        """Readings in mg/dL, the last of them now; 39 is LOW and 401 HIGH."""
        end_us = end_us or self.now_us
        first = end_us - round((len(values) - 1) * every_min * MINUTE_US)
        rows = [
            ReadingRow(
                patient,
                device or f"cgm-{patient}",
                first + round(i * every_min * MINUTE_US),
                round(value * 10),
                value,
                0,
                -1 if value < 40 else 1 if value > 400 else 0,
                0,
            )
            for i, value in enumerate(values)
        ]
        self.append(Topic.GLUCOSE_READINGS, readings_batch(rows))

    def add_change(self, change: AlertChange) -> str:
        """An alert's change as the engine writes it; the alert's id."""
        row = DocumentRow(change.patient, change.device, change.at_us, change.change, encode_change(change).decode())
        self.append(Topic.ALERTS, documents_batch([row]))
        return change.id

    def add_file(self, name: str, content: bytes = b"x", patient: str = "p-1", device: str = "cgm-1") -> DeviceFile:
        """A file that a device has uploaded."""
        files, of = self.device_files, Address(device, "1")
        file = files.begin(of, patient, name, self.now_us)
        piece = files.new_piece()
        piece.append(content)
        piece.keep()
        files.put(file.id, piece, self.now_us)
        files.end(file.id, of, self.now_us, success=True)
        return files.file(file.id)

    def open_alert(self, rule: str, patient: str, severity: Severity, *, minutes: int = 5, mg_dl: float = 50) -> str:
        onset_us = self.now_us - minutes * MINUTE_US
        return self.add_change(
            AlertChange(
                change="opened",
                rule=rule,
                patient=patient,
                onset_us=onset_us,
                at_us=onset_us,
                severity=severity,
                glucose_tenths=round(mg_dl * 10),
            )
        )

    def add_document(self, topic: Topic, patient: str, kind: str, body: str, *, minutes: int = 0) -> None:
        row = DocumentRow(patient, "device-1", self.now_us - minutes * MINUTE_US, kind, body)
        self.append(topic, documents_batch([row]))

    def append(self, topic: Topic, batch: pa.RecordBatch) -> None:
        """Commit to the log, and let the store take it in."""
        self.commit.commit(appends=[Append(topic=topic, batch=batch)])
        self.follow()

    def follow(self) -> None:
        while self._follower.run_once(0.0):
            pass

    def client(self, user: str = "") -> httpx.AsyncClient:
        """A client of the application, with a session of `user`'s as a browser has it."""
        cookies = {"islet_session": self.token(user)} if user else None
        transport = httpx.ASGITransport(self.app)
        return httpx.AsyncClient(transport=transport, base_url="http://islet.test", cookies=cookies)

    @contextmanager
    def serve(self) -> Iterator[str]:
        """The address of this portal on the loopback interface; streams are ended first, as a graceful stop does."""
        listener = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(self.app, log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            self.live.close()
            server.should_exit = True
            thread.join(timeout=10)
            listener.close()
