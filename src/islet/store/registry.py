"""The registry: what people entered, in the same encrypted file as the store, durable when a call returns."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import apsw
import msgspec
from msgspec import structs

from islet.access.audit import FIRST_SEAL, AuditLine, sealed
from islet.errors import AlreadyExists, NotFound
from islet.log.connection import Readers, open_database, plain_errors, transaction
from islet.model.people import Device, Patient, Session, User
from islet.store.base import UNSAID, Act, EntryKind
from islet.store.devices_base import EtagDiffers

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS registered (
    kind TEXT NOT NULL, id TEXT NOT NULL, body BLOB NOT NULL, version INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS registry_version (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL) STRICT;
INSERT OR IGNORE INTO registry_version VALUES (1, 0);
CREATE TABLE IF NOT EXISTS kind_version (kind TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS session (
    token_hash TEXT PRIMARY KEY, user TEXT NOT NULL, expires_us INTEGER NOT NULL, key TEXT NOT NULL DEFAULT '',
    acting TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sessions_ended (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL) STRICT;
INSERT OR IGNORE INTO sessions_ended VALUES (1, 0);
CREATE TABLE IF NOT EXISTS secret (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS thumbprint (
    thumbprint TEXT NOT NULL, device TEXT NOT NULL, PRIMARY KEY (thumbprint, device)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS thumbprint_by_device ON thumbprint (device);
CREATE TABLE IF NOT EXISTS audit (number INTEGER PRIMARY KEY, line BLOB NOT NULL) STRICT;
CREATE TRIGGER IF NOT EXISTS audit_is_not_changed BEFORE UPDATE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit trail is only added to'); END;
CREATE TRIGGER IF NOT EXISTS audit_is_not_removed BEFORE DELETE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit trail is only added to'); END;
"""
_INDEX: Final = "CREATE INDEX IF NOT EXISTS patient_by_version ON registered (version) WHERE kind = 'patient'"
_SINCE: Final = """
SELECT body FROM registered INDEXED BY patient_by_version WHERE kind = 'patient' AND version > ? ORDER BY id
"""
_FOUND: Final = """
kind = 'device' AND (?1 = '' OR instr(lower(id), ?1) OR instr(lower(json_extract(CAST(body AS TEXT), '$.patient')), ?1))
"""
Record = TypeVar("Record", Patient, Device, User)
_KINDS: Final[dict[type, str]] = {Patient: "patient", Device: "device", User: "user"}


class SqliteRegistry:
    """Implements `islet.store.base.Registry`. Records are JSON, so that a new field needs no migration."""

    def __init__(self, path: Path, key: bytes) -> None:
        """Open the registry at `path`, made where there is none. Raises KeyUnavailable for a wrong key."""
        self._name = path.name
        self._writing = threading.Lock()
        self._readers = Readers(path, key)
        self._writer = open_database(path, key, synchronous="FULL")
        with self._transaction():
            self._writer.execute(_TABLES)
            self._add_columns()
            self._writer.execute(_INDEX)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._writing, plain_errors(self._name), transaction(self._writer):
            yield

    def patients(self) -> list[Patient]:
        return self._all(Patient)

    def patients_since(self, version: int) -> tuple[int, list[Patient]]:
        now = self.version  # first: who is put meanwhile comes twice
        if version < 0:
            return now, self.patients()
        with self._readers.one() as reader:
            rows: list[Any] = reader.execute(_SINCE, (version,)).fetchall()
        return now, [msgspec.json.decode(body, type=Patient) for (body,) in rows]

    def patient_count(self) -> int:
        with self._readers.one() as reader:
            count: int = reader.execute("SELECT count(*) FROM registered WHERE kind = ?", (_KINDS[Patient],)).get
        return count

    def patient(self, id: str) -> Patient | None:
        return self._one(Patient, id)

    def put_patient(self, patient: Patient) -> None:
        with self._transaction():
            if self._was_erased(patient.id):
                raise AlreadyExists(f"patient {patient.id!r} was erased, and the id is not given again; choose another")
            self._put(patient.id, patient)

    def mark_erased(self, id: str, body: bytes, *, by: str, at_us: int) -> None:
        with self._transaction():
            self._delete("patient", id)
            self._put_entry(EntryKind.ERASED, id, body, by, at_us)

    def devices(self) -> list[Device]:
        return self._all(Device)

    def device(self, id: str) -> Device | None:
        return self._one(Device, id)

    def find_devices(self, text: str = "", *, after: str = "", limit: int) -> list[Device]:
        with self._readers.one() as reader:
            query = f"SELECT body FROM registered WHERE {_FOUND} AND id > ?2 ORDER BY id LIMIT ?3"
            rows: list[Any] = reader.execute(query, (text.lower(), after, limit)).fetchall()
        return [msgspec.json.decode(body, type=Device) for (body,) in rows]

    def count_devices(self, text: str = "") -> int:
        with self._readers.one() as reader:
            count: int = reader.execute(f"SELECT count(*) FROM registered WHERE {_FOUND}", (text.lower(),)).get
        return count

    def create_device(self, device: Device) -> None:
        with self._transaction():
            if self._has_device(device.id):
                raise AlreadyExists(f"device {device.id!r} exists already; update it, or choose another id")
            self._check_patient_of(device)
            self._put(device.id, device)
            self._put_thumbprints(device)

    def change_device(self, device: Device, action: str, *, etag: str, by: str, at_us: int) -> None:
        with self._transaction():
            body = _body(self._writer, "device", device.id)
            if body is None:
                raise NotFound(f"device {device.id!r} is not registered")
            if msgspec.json.decode(body, type=Device).etag != etag:
                raise EtagDiffers("the device was changed meanwhile; read it again")
            self._check_patient_of(device)
            self._put(device.id, device)
            self._put_thumbprints(device)
            self._note(at_us, by, action, "device", device.id, "", "")

    def delete_device(self, id: str) -> None:
        with self._transaction():
            if not self._has_device(id):
                raise NotFound(f"device {id!r} is not registered")
            self._delete("device", id)
            self._writer.execute("DELETE FROM thumbprint WHERE device = ?", (id,))

    def knows_thumbprint(self, thumbprint: str) -> bool:
        with self._readers.one() as reader:
            query = "SELECT EXISTS (SELECT 1 FROM thumbprint WHERE thumbprint = ?)"
            return bool(reader.execute(query, (thumbprint,)).get)

    def users(self) -> list[User]:
        return self._all(User)

    def user(self, name: str) -> User | None:
        return self._one(User, name)

    def put_user(self, user: User) -> None:
        with self._transaction():
            body = _body(self._writer, "user", user.name)
            self._put_user(None if body is None else msgspec.json.decode(body, type=User), user)

    def change_user(
        self, name: str, change: Callable[[Mapping[str, User]], User], *, action: str, by: str, at_us: int
    ) -> User:
        with self._transaction():
            rows: list[Any] = self._writer.execute("SELECT body FROM registered WHERE kind = 'user'").fetchall()
            users = {user.name: user for user in (msgspec.json.decode(body, type=User) for (body,) in rows)}
            known, user = users.get(name), change(users)
            self._put_user(known, user)
            done = action or ("added" if known is None else "changed")
            if known is not None and user.password_hash not in ("", known.password_hash) and not action:
                done = "changed, with a new password"
            self._note(at_us, by, done, "user", name, _told(known), _told(user))
        return user

    def delete_user(self, name: str, *, by: str, at_us: int) -> None:
        with self._transaction():
            if _body(self._writer, "user", name) is None:
                raise NotFound(f"there is no user {name!r}; `islet users list` shows all")
            self._delete("user", name)
            self._end_sessions(name)
            self._note(at_us, by, "removed", "user", name, "", "")

    def create_session(
        self, token_hash: str, user: str, expires_us: int, now_us: int | None = None, *, key: str = "", by: str = ""
    ) -> None:
        with self._transaction():
            if now_us is not None:
                self._writer.execute("DELETE FROM session WHERE expires_us <= ?", (now_us,))
            values = (token_hash, user, expires_us, key, by)
            self._writer.execute("INSERT OR REPLACE INTO session VALUES (?, ?, ?, ?, ?)", values)

    def session(self, token_hash: str, now_us: int) -> Session | None:
        with self._readers.one() as reader:
            query = "SELECT user, expires_us, key, acting FROM session WHERE token_hash = ? AND expires_us > ?"
            rows: list[Any] = reader.execute(query, (token_hash, now_us)).fetchall()
        return Session(user=rows[0][0], expires_us=rows[0][1], key=rows[0][2], by=rows[0][3]) if rows else None

    def session_user(self, token_hash: str, now_us: int) -> User | None:
        session = self.session(token_hash, now_us)
        user = None if session is None or session.key else self.user(session.user)
        return user if user is not None and user.enabled else None

    def delete_session(self, token_hash: str) -> None:
        with self._transaction():
            self._writer.execute("DELETE FROM session WHERE token_hash = ?", (token_hash,))
            self._sessions_ended()

    def delete_sessions(self, user: str) -> None:
        with self._transaction():
            self._end_sessions(user)

    def secret(self, name: str) -> str | None:
        with self._readers.one() as reader:
            value: str | None = reader.execute("SELECT value FROM secret WHERE name = ?", (name,)).get
            return value

    def put_secret(self, name: str, value: str) -> None:
        with self._transaction():
            self._writer.execute("DELETE FROM secret WHERE name = ?", (name,))
            if value:
                self._writer.execute("INSERT INTO secret VALUES (?, ?)", (name, value))

    def entries(self, kind: EntryKind) -> dict[str, bytes]:
        with self._readers.one() as reader:
            query = "SELECT id, body FROM registered WHERE kind = ? ORDER BY id"
            rows: list[Any] = reader.execute(query, (kind,)).fetchall()
        return dict(rows)

    def entry(self, kind: EntryKind, id: str) -> bytes | None:
        with self._readers.one() as reader:
            return _body(reader, kind, id)

    def put_entry(self, kind: EntryKind, id: str, body: bytes | None, *, by: str, at_us: int) -> None:
        with self._transaction():
            self._put_entry(kind, id, body, by, at_us)

    def note(self, action: str, kind: str, id: str, *, by: str, at_us: int) -> None:
        with self._transaction():
            self._note(at_us, by, action, kind, id, "", "")

    def note_all(self, acts: Sequence[Act]) -> None:
        with self._transaction():
            for act in acts:
                self._note(act.at_us, act.by, act.action, act.kind, act.id, "", "")

    def audit_length(self) -> int:
        with self._readers.one() as reader:
            length: int = reader.execute("SELECT coalesce(max(number), 0) FROM audit").get
            return length

    def audit(self, after: int = 0, limit: int = 1000) -> list[AuditLine]:
        with self._readers.one() as reader:
            query = "SELECT line FROM audit WHERE number > ? ORDER BY number LIMIT ?"
            rows: list[Any] = reader.execute(query, (after, limit)).fetchall()
        return [msgspec.json.decode(line, type=AuditLine) for (line,) in rows]

    @property
    def sessions_ended(self) -> int:
        with self._readers.one() as reader:
            version: int = reader.execute("SELECT version FROM sessions_ended").get
            return version

    @property
    def version(self) -> int:
        with self._readers.one() as reader:
            version: int = reader.execute("SELECT version FROM registry_version").get
            return version

    def versions(self) -> Mapping[str, int]:
        with self._readers.one() as reader:
            rows: list[Any] = reader.execute("SELECT kind, version FROM kind_version").fetchall()
        return dict(rows)

    def close(self) -> None:
        with self._writing:
            self._readers.close()
            self._writer.close()

    def _all(self, kind: type[Record]) -> list[Record]:
        with self._readers.one() as reader:
            rows: list[Any] = reader.execute(
                "SELECT body FROM registered WHERE kind = ? ORDER BY id", (_KINDS[kind],)
            ).fetchall()
        return [msgspec.json.decode(body, type=kind) for (body,) in rows]

    def _one(self, kind: type[Record], id: str) -> Record | None:
        with self._readers.one() as reader:
            body = _body(reader, _KINDS[kind], id)
        return None if body is None else msgspec.json.decode(body, type=kind)

    def _end_sessions(self, user: str) -> None:
        """Theirs, and those in which they act as somebody."""
        self._writer.execute("DELETE FROM session WHERE user = ? OR acting = ?", (user, user))
        self._sessions_ended()

    def _sessions_ended(self) -> None:
        self._writer.execute("UPDATE sessions_ended SET version = version + 1")

    def _add_columns(self) -> None:
        """Those that registries of earlier versions lack."""
        there = {row[1] for row in self._writer.execute("PRAGMA table_info(session)")}
        for column in ("key", "acting"):
            if column not in there:
                self._writer.execute(f"ALTER TABLE session ADD COLUMN {column} TEXT NOT NULL DEFAULT ''")
        if not any(row[1] == "version" for row in self._writer.execute("PRAGMA table_info(registered)")):
            self._writer.execute("ALTER TABLE registered ADD COLUMN version INTEGER NOT NULL DEFAULT 0")

    def _note(self, at_us: int, by: str, action: str, kind: str, id: str, before: str, after: str) -> None:
        last: bytes | None = self._writer.execute("SELECT line FROM audit ORDER BY number DESC LIMIT 1").get
        previous = None if last is None else msgspec.json.decode(last, type=AuditLine)
        number = 1 if previous is None else previous.number + 1
        line = AuditLine(number=number, at_us=at_us, by=by, action=action, kind=kind, id=id, before=before, after=after)
        done = sealed(line, FIRST_SEAL if previous is None else previous.seal)
        self._writer.execute("INSERT INTO audit VALUES (?, ?)", (number, msgspec.json.encode(done)))

    def _put_entry(self, kind: EntryKind, id: str, body: bytes | None, by: str, at_us: int) -> None:
        before = _body(self._writer, kind, id)
        if before == body:
            return
        if body is None:
            self._delete(kind, id)
        else:
            self._keep(kind, id, body)
        action = "removed" if body is None else "added" if before is None else "changed"
        texts = ("", "") if kind in UNSAID else (_text(before), _text(body))
        self._note(at_us, by, action, kind, id, *texts)

    def _put_user(self, known: User | None, user: User) -> None:
        if not user.enabled or known is None or known.password_hash != user.password_hash:
            self._end_sessions(user.name)
        self._put(user.name, user)

    def _was_erased(self, patient: str) -> bool:
        return _body(self._writer, EntryKind.ERASED, patient) is not None

    def _check_patient_of(self, device: Device) -> None:
        if device.patient and self._was_erased(device.patient):
            raise NotFound(f"patient {device.patient!r} was erased; give the device to somebody else")

    def _has_device(self, id: str) -> bool:
        return _body(self._writer, "device", id) is not None

    def _put(self, id: str, record: Patient | Device | User) -> None:
        self._keep(_KINDS[type(record)], id, msgspec.json.encode(record))

    def _keep(self, kind: str, id: str, body: bytes) -> None:
        version = self._changed(kind)
        self._writer.execute("INSERT OR REPLACE INTO registered VALUES (?, ?, ?, ?)", (kind, id, body, version))

    def _delete(self, kind: str, id: str) -> None:
        self._writer.execute("DELETE FROM registered WHERE kind = ? AND id = ?", (kind, id))
        self._changed(kind)

    def _put_thumbprints(self, device: Device) -> None:
        self._writer.execute("DELETE FROM thumbprint WHERE device = ?", (device.id,))
        for thumbprint in {device.primary_thumbprint, device.secondary_thumbprint} - {""}:
            self._writer.execute("INSERT INTO thumbprint VALUES (?, ?)", (thumbprint, device.id))

    def _changed(self, kind: str) -> int:
        """Something of that kind is another from this version on."""
        version: int = self._writer.execute("UPDATE registry_version SET version = version + 1 RETURNING version").get
        self._writer.execute("INSERT OR REPLACE INTO kind_version VALUES (?, ?)", (kind, version))
        return version


def _text(body: bytes | None) -> str:
    return "" if body is None else body.decode()


def _told(user: User | None) -> str:
    """A user as the audit trail tells them."""
    return "" if user is None else msgspec.json.encode(structs.replace(user, password_hash="")).decode()


def _body(connection: apsw.Connection, kind: str, id: str) -> bytes | None:
    body: bytes | None = connection.execute("SELECT body FROM registered WHERE kind = ? AND id = ?", (kind, id)).get
    return body
