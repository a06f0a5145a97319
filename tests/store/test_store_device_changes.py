"""What people change of a device: nothing else of it, in the version that they read, though others change it as well."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from threading import Barrier, Thread

import pytest
from msgspec import structs

from islet.access.sas import is_key, new_key
from islet.errors import BadInput, NotFound
from islet.model.people import Device, Patient
from islet.store import device_changes
from islet.store.base import Registry
from islet.store.devices_base import EtagDiffers
from islet.store.hub_policies import Which
from islet.store.registry import SqliteRegistry

KEY = bytes(range(32))
FIRST = Device(id="cgm-1", patient="p-1", generation_id="7", etag="e1", primary_key=new_key(), secondary_key=new_key())
Change = Callable[..., Device]
CHANGES: dict[str, tuple[Change, set[str]]] = {
    "assign": (lambda registry, **how: device_changes.assign(registry, "cgm-1", "p-2", **how), {"patient"}),
    "disable": (
        lambda registry, **how: device_changes.disable(registry, "cgm-1", "lost", **how),
        {"enabled", "status_reason"},
    ),
    "enable": (lambda registry, **how: device_changes.enable(registry, "cgm-1", **how), set()),
    "primary": (
        lambda registry, **how: device_changes.renew_device_key(registry, "cgm-1", Which.PRIMARY, **how),
        {"primary_key"},
    ),
    "secondary": (
        lambda registry, **how: device_changes.renew_device_key(registry, "cgm-1", Which.SECONDARY, **how),
        {"secondary_key"},
    ),
}


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with closing(SqliteRegistry(tmp_path / "store.db", KEY)) as opened:
        for id in ("p-1", "p-2"):
            opened.put_patient(Patient(id=id))
        opened.create_device(FIRST)
        yield opened


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_leaves_everything_else_as_it_is(registry: Registry, name: str) -> None:
    change, fields = CHANGES[name]
    after = change(registry, by="anna", at_us=5, etag="e1")
    assert registry.device("cgm-1") == after
    changed = {field for field in structs.asdict(FIRST) if getattr(FIRST, field) != getattr(after, field)}
    assert changed == fields | {"etag"}
    (line,) = registry.audit()
    assert (line.by, line.at_us, line.kind, line.id) == ("anna", 5, "device", "cgm-1")
    with pytest.raises(EtagDiffers):
        change(registry, by="anna", at_us=5, etag="e1")
    assert registry.device("cgm-1") == after and registry.audit_length() == 1


@pytest.mark.parametrize("which", Which)
def test_a_new_key_is_a_key_and_not_in_the_trail(registry: Registry, which: Which) -> None:
    after = device_changes.renew_device_key(registry, "cgm-1", which, by="anna", at_us=5)
    key = getattr(after, f"{which}_key")
    assert is_key(key) and key not in str(registry.audit())


def test_what_cannot_be_is_refused(registry: Registry) -> None:
    registry.create_device(Device(id="signed", authentication="certificateAuthority"))
    with pytest.raises(BadInput, match="with a certificate"):
        device_changes.renew_device_key(registry, "signed", Which.PRIMARY, by="anna", at_us=5)
    for reason in ("x" * 129, "two\nlines"):
        with pytest.raises(BadInput, match="at most 128 characters"):
            device_changes.disable(registry, "cgm-1", reason, by="anna", at_us=5)
    for id, patient in (("cgm-1", "nobody"), ("none", "p-2")):
        with pytest.raises(NotFound):
            device_changes.assign(registry, id, patient, by="anna", at_us=5)
    assert registry.device("cgm-1") == FIRST and registry.audit() == []


def test_of_two_who_change_it_at_a_time_neither_undoes_what_the_other_did(registry: Registry) -> None:
    rounds, start = 20, Barrier(2)

    def together(change: Callable[[int], object]) -> Thread:
        def run() -> None:
            for number in range(rounds):
                start.wait(20)
                change(number)

        thread = Thread(target=run)
        thread.start()
        return thread

    reasons, keys = list[str](), list[str]()

    def disable(number: int) -> None:
        device_changes.disable(registry, "cgm-1", f"reason {number}", by="anna", at_us=number)
        device = registry.device("cgm-1")
        assert device is not None
        reasons.append(device.status_reason)

    def renew(number: int) -> None:
        keys.append(device_changes.renew_device_key(registry, "cgm-1", Which.PRIMARY, by="b", at_us=5).primary_key)

    for thread in [together(disable), together(renew)]:
        thread.join(60)
    last = registry.device("cgm-1")
    assert last is not None and (last.status_reason, last.primary_key) == (f"reason {rounds - 1}", keys[-1])
    assert reasons == [f"reason {number}" for number in range(rounds)]
    assert registry.audit_length() == 2 * rounds
