"""A registry in memory, for the tests of doors."""

from collections.abc import Callable, Mapping, Sequence

from islet.access.audit import AuditLine
from islet.errors import AlreadyExists, NotFound
from islet.model.people import Device, Patient, Session, User
from islet.store.base import Act, EntryKind
from islet.store.devices_base import EtagDiffers


class DictRegistry:
    """A registry in memory: the real one's syncs would cost each test a tenth of a second."""

    def __init__(self) -> None:
        self._versions: dict[str, int] = {}
        self.sessions_ended = 0
        self._patients: dict[str, Patient] = {}
        self._devices: dict[str, Device] = {}
        self._secrets: dict[str, str] = {}
        self._entries: dict[tuple[EntryKind, str], bytes] = {}
        self._noted: list[AuditLine] = []

    @property
    def version(self) -> int:
        return sum(self._versions.values())

    def versions(self) -> Mapping[str, int]:
        return dict(self._versions)

    def _changed(self, kind: str) -> None:
        self._versions[kind] = self._versions.get(kind, 0) + 1

    def patients(self) -> list[Patient]:
        return list(self._patients.values())

    def patients_since(self, version: int) -> tuple[int, list[Patient]]:
        return self.version, self.patients()

    def patient_count(self) -> int:
        return len(self._patients)

    def patient(self, id: str) -> Patient | None:
        return self._patients.get(id)

    def put_patient(self, patient: Patient) -> None:
        self._patients[patient.id] = patient
        self._changed("patient")

    def mark_erased(self, id: str, body: bytes, *, by: str, at_us: int) -> None:
        raise NotImplementedError

    def devices(self) -> list[Device]:
        return list(self._devices.values())

    def device(self, id: str) -> Device | None:
        return self._devices.get(id)

    def create_device(self, device: Device) -> None:
        if device.id in self._devices:
            raise AlreadyExists(device.id)
        self._devices[device.id] = device
        self._changed("device")

    def find_devices(self, text: str = "", *, after: str = "", limit: int) -> list[Device]:
        raise NotImplementedError

    def count_devices(self, text: str = "") -> int:
        raise NotImplementedError

    def change_device(self, device: Device, action: str, *, etag: str, by: str, at_us: int) -> None:
        if device.id not in self._devices:
            raise NotFound(device.id)
        if self._devices[device.id].etag != etag:
            raise EtagDiffers(device.id)
        self._devices[device.id] = device
        self._changed("device")
        self.note(action, "device", device.id, by=by, at_us=at_us)

    def delete_device(self, id: str) -> None:
        if self._devices.pop(id, None) is None:
            raise NotFound(id)
        self._changed("device")

    def knows_thumbprint(self, thumbprint: str) -> bool:
        return any(thumbprint in (one.primary_thumbprint, one.secondary_thumbprint) for one in self._devices.values())

    def users(self) -> list[User]:
        return []

    def user(self, name: str) -> User | None:
        return None

    def put_user(self, user: User) -> None:
        raise NotImplementedError

    def change_user(
        self, name: str, change: Callable[[Mapping[str, User]], User], *, action: str, by: str, at_us: int
    ) -> User:
        raise NotImplementedError

    def delete_user(self, name: str, *, by: str, at_us: int) -> None:
        raise NotImplementedError

    def create_session(
        self, token_hash: str, user: str, expires_us: int, now_us: int | None = None, *, key: str = "", by: str = ""
    ) -> None:
        raise NotImplementedError

    def session(self, token_hash: str, now_us: int) -> Session | None:
        return None

    def session_user(self, token_hash: str, now_us: int) -> User | None:
        return None

    def delete_session(self, token_hash: str) -> None:
        raise NotImplementedError

    def delete_sessions(self, user: str) -> None:
        raise NotImplementedError

    def secret(self, name: str) -> str | None:
        return self._secrets.get(name)

    def put_secret(self, name: str, value: str) -> None:
        self._secrets[name] = value

    def entries(self, kind: EntryKind) -> dict[str, bytes]:
        return {id: body for (one, id), body in self._entries.items() if one is kind}

    def entry(self, kind: EntryKind, id: str) -> bytes | None:
        return self._entries.get((kind, id))

    def put_entry(self, kind: EntryKind, id: str, body: bytes | None, *, by: str, at_us: int) -> None:
        self._entries.pop((kind, id), None)
        if body is not None:
            self._entries[kind, id] = body
        self._changed(kind)

    def note(self, action: str, kind: str, id: str, *, by: str, at_us: int) -> None:
        number = len(self._noted) + 1
        self._noted.append(AuditLine(number=number, at_us=at_us, by=by, action=action, kind=kind, id=id))

    def note_all(self, acts: Sequence[Act]) -> None:
        for act in acts:
            self.note(act.action, act.kind, act.id, by=act.by, at_us=act.at_us)

    def audit_length(self) -> int:
        return len(self._noted)

    def audit(self, after: int = 0, limit: int = 1000) -> list[AuditLine]:
        """What was noted; unsealed, and without the entries that were put."""
        return self._noted[after : after + limit]

    def close(self) -> None: ...
