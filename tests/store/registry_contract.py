"""What holds for every registry. A back end's test file derives from this and gives the fixture."""

from collections.abc import Mapping

import pytest
from msgspec import structs

from islet.access.audit import first_broken
from islet.errors import AccessDenied, AlreadyExists, NotFound
from islet.model.people import Device, Patient, Role, User
from islet.model.time import DAY_US
from islet.store.base import Act, EntryKind, Registry
from islet.store.devices_base import EtagDiffers


def put(registry: Registry, device: Device) -> None:
    """Change a device that is there."""
    registry.change_device(device, "changed", etag="", by="test", at_us=0)


class RegistryContract:
    def test_patients_are_put_and_found(self, registry: Registry) -> None:
        anna = Patient(id="anna", label="Room 4", tags=("type 1",), low_mg_dl=80)
        registry.put_patient(anna)
        registry.put_patient(Patient(id="berta"))
        assert registry.patient("anna") == anna
        assert registry.patient("nobody") is None
        assert [one.id for one in registry.patients()] == ["anna", "berta"]
        registry.put_patient(Patient(id="anna", label="Room 5"))
        assert [one.label for one in registry.patients()] == ["Room 5", ""]

    def test_patients_who_were_put_since_a_version_are_found(self, registry: Registry) -> None:
        assert registry.patients_since(-1) == (registry.version, [])
        registry.put_patient(Patient(id="berta"))
        registry.put_patient(Patient(id="anna"))
        seen, patients = registry.patients_since(-1)
        assert [one.id for one in patients] == ["anna", "berta"]
        registry.create_device(Device(id="cgm-1", patient="anna"))
        assert registry.patients_since(seen)[1] == []
        registry.put_patient(Patient(id="berta", label="Room 5"))
        seen, patients = registry.patients_since(seen)
        assert (seen, [one.label for one in patients]) == (registry.version, ["Room 5"])

    def test_each_kind_has_the_version_of_its_last_change(self, registry: Registry) -> None:
        assert registry.versions() == {}
        registry.put_patient(Patient(id="anna"))
        registry.create_device(Device(id="cgm-1", patient="anna"))
        before = registry.versions()
        registry.put_entry(EntryKind.RULE, "mine", b"{}", by="test", at_us=1)
        now = registry.versions()
        assert {kind for kind in now if now[kind] != before.get(kind)} == {EntryKind.RULE}
        registry.mark_erased("anna", b"{}", by="test", at_us=1)
        later = registry.versions()
        assert {kind for kind in later if later[kind] != now.get(kind)} == {"patient", EntryKind.ERASED}
        assert max(later.values()) == registry.version

    def test_a_second_device_of_one_id_is_refused(self, registry: Registry) -> None:
        registry.create_device(Device(id="cgm-1", patient="anna", primary_key="k"))
        with pytest.raises(AlreadyExists, match="cgm-1"):
            registry.create_device(Device(id="cgm-1"))
        assert registry.devices() == [Device(id="cgm-1", patient="anna", primary_key="k")]

    def test_a_device_that_is_not_there_can_not_be_changed(self, registry: Registry) -> None:
        with pytest.raises(NotFound):
            put(registry, Device(id="cgm-1"))
        with pytest.raises(NotFound):
            registry.delete_device("cgm-1")
        registry.create_device(Device(id="cgm-1"))
        put(registry, Device(id="cgm-1", enabled=False))
        assert registry.device("cgm-1") == Device(id="cgm-1", enabled=False)
        registry.delete_device("cgm-1")
        assert registry.device("cgm-1") is None

    def test_a_thumbprint_is_known_while_a_device_is_registered_with_it(self, registry: Registry) -> None:
        registry.create_device(Device(id="cgm-1", primary_thumbprint="A1", secondary_thumbprint="B1"))
        registry.create_device(Device(id="cgm-2", primary_thumbprint="A1"))
        put(registry, Device(id="cgm-1", primary_thumbprint="A2"))
        assert [registry.knows_thumbprint(one) for one in ("A1", "B1", "A2", "")] == [True, False, True, False]
        registry.delete_device("cgm-2")
        assert [registry.knows_thumbprint(one) for one in ("A1", "A2")] == [False, True]

    def test_a_session_ends_with_its_time_its_user_or_a_log_out(self, registry: Registry) -> None:
        nurse = User(name="nurse", role=Role.CLINICIAN, password_hash="h", patients=("anna",))
        registry.put_user(nurse)
        registry.create_session("t1", "nurse", 100)
        registry.create_session("t2", "nurse", DAY_US)
        assert registry.session_user("t1", 99) == nurse
        assert registry.session_user("t1", 100) is None
        registry.delete_session("t2")
        assert registry.session_user("t2", 1) is None
        assert registry.session_user("t3", 1) is None
        registry.put_user(User(name="nurse", role=Role.CLINICIAN, password_hash="h", enabled=False))
        assert registry.session_user("t1", 99) is None
        assert [one.name for one in registry.users()] == ["nurse"]

    def test_another_password_or_a_disabled_user_ends_all_their_sessions(self, registry: Registry) -> None:
        nurse = User(name="nurse", role=Role.CLINICIAN, password_hash="h")
        changes = (structs.replace(nurse, password_hash="other"), structs.replace(nurse, enabled=False))
        for changed in changes:
            registry.put_user(nurse)
            registry.put_user(User(name="other", role=Role.CLINICIAN, password_hash="h"))
            registry.create_session("t1", "nurse", DAY_US)
            registry.create_session("t2", "other", DAY_US)
            registry.put_user(changed)
            registry.put_user(nurse)
            assert registry.session_user("t1", 1) is None
            assert registry.session_user("t2", 1) is not None

    def test_a_user_is_changed_with_a_line_of_the_trail_or_not_at_all(self, registry: Registry) -> None:
        nurse = User(name="nurse", role=Role.CLINICIAN, password_hash="secret-hash")
        registry.put_user(User(name="other", role=Role.CLINICIAN, password_hash="h"))
        assert registry.change_user("nurse", lambda users: nurse, action="", by="admin", at_us=1) == nurse
        registry.create_session("t", "nurse", DAY_US)

        def refuse(users: Mapping[str, User]) -> User:
            assert users == {one.name: one for one in registry.users()}
            raise AccessDenied("no")

        before = registry.version
        with pytest.raises(AccessDenied):
            registry.change_user("nurse", refuse, action="", by="admin", at_us=2)
        assert (registry.user("nurse"), registry.version, registry.audit_length()) == (nurse, before, 1)
        of = structs.replace(nurse, patients=("anna",))
        registry.change_user("nurse", lambda users: of, action="", by="admin", at_us=3)
        assert registry.session_user("t", 1) is not None
        again = structs.replace(of, password_hash="another-hash")
        registry.change_user("nurse", lambda users: again, action="", by="admin", at_us=4)
        assert registry.session_user("t", 1) is None
        registry.change_user("nurse", lambda users: nurse, action="helped", by="admin", at_us=5)
        lines = registry.audit()
        told = [(line.action, line.kind, line.id, line.by, line.at_us) for line in lines]
        assert told == [
            ("added", "user", "nurse", "admin", 1),
            ("changed", "user", "nurse", "admin", 3),
            ("changed, with a new password", "user", "nurse", "admin", 4),
            ("helped", "user", "nurse", "admin", 5),
        ]
        assert ("anna" in lines[1].before, "anna" in lines[1].after) == (False, True)
        assert not any("-hash" in line.before + line.after for line in lines)

    def test_another_language_or_assignment_leaves_the_session(self, registry: Registry) -> None:
        nurse = User(name="nurse", role=Role.CLINICIAN, password_hash="h")
        registry.put_user(nurse)
        registry.create_session("t", "nurse", DAY_US)
        registry.put_user(structs.replace(nurse, language="zh-CN", patients=("anna",)))
        assert registry.session_user("t", 1) is not None

    def test_all_sessions_of_a_user_can_be_ended(self, registry: Registry) -> None:
        for name in ("nurse", "other"):
            registry.put_user(User(name=name, role=Role.CLINICIAN, password_hash="h"))
            registry.create_session(f"{name}-1", name, DAY_US)
            registry.create_session(f"{name}-2", name, DAY_US)
        registry.delete_sessions("nurse")
        assert [registry.session_user(f"nurse-{i}", 1) for i in (1, 2)] == [None, None]
        assert None not in [registry.session_user(f"other-{i}", 1) for i in (1, 2)]

    def test_a_new_session_forgets_those_that_are_over(self, registry: Registry) -> None:
        registry.put_user(User(name="nurse", role=Role.CLINICIAN, password_hash="h"))
        registry.create_session("old", "nurse", 100)
        registry.create_session("young", "nurse", 101)
        registry.create_session("new", "nurse", DAY_US, now_us=100)
        assert registry.session_user("old", 0) is None  # asked at an earlier instant, it would still hold
        assert registry.session_user("young", 0) is not None
        assert registry.session_user("new", 0) is not None

    def test_secrets_are_kept_by_name(self, registry: Registry) -> None:
        assert registry.secret("telegram") is None
        registry.put_secret("telegram", "one")
        registry.put_secret("telegram", "two")
        assert registry.secret("telegram") == "two"

    def test_an_entry_is_kept_changed_and_removed_and_each_act_is_in_the_audit_trail(self, registry: Registry) -> None:
        policy = EntryKind.ALARM_POLICY
        for body in (b'{"steps":1}', b'{"steps":1}', b'{"steps":2}', None, None):
            registry.put_entry(policy, "anna", body, by="dr-k", at_us=7)
            assert registry.entry(policy, "anna") == body
            assert registry.entries(policy) == ({} if body is None else {"anna": body})
        registry.note("tried", "rule", "low", by="dr-k", at_us=8)
        lines = registry.audit()
        assert [line.action for line in lines] == ["added", "changed", "removed", "tried"]
        assert (lines[1].by, lines[1].before, lines[1].after) == ("dr-k", '{"steps":1}', '{"steps":2}')
        assert first_broken(lines) is None
        assert registry.audit(after=2, limit=1) == lines[2:3]

    def test_what_a_job_found_is_kept_but_not_in_the_audit_trail(self, registry: Registry) -> None:
        registry.put_entry(EntryKind.JOB, "cohorts", b'{"centroid":[104.5]}', by="islet", at_us=7)
        registry.put_entry(EntryKind.JOB, "cohorts", None, by="islet", at_us=8)
        assert [(one.action, one.before, one.after) for one in registry.audit()] == [
            ("added", "", ""),
            ("removed", "", ""),
        ]

    def test_the_version_grows_with_patients_devices_and_users_only(self, registry: Registry) -> None:
        versions = [registry.version]
        registry.put_patient(Patient(id="anna"))
        versions.append(registry.version)
        registry.create_device(Device(id="cgm-1"))
        versions.append(registry.version)
        put(registry, Device(id="cgm-1", enabled=False))
        versions.append(registry.version)
        registry.put_user(User(name="nurse", role=Role.CLINICIAN, password_hash="h"))
        versions.append(registry.version)
        registry.delete_device("cgm-1")
        versions.append(registry.version)
        assert versions == sorted(set(versions))
        registry.create_session("t", "nurse", 1)
        registry.put_secret("a", "b")
        assert registry.version == versions[-1]

    def test_devices_are_found_by_their_id_and_their_patients_page_by_page(self, registry: Registry) -> None:
        ids = ["a-1", "B-2", "b%3", "c"]
        for id in ids:
            registry.create_device(Device(id=id, patient="Ann" if id == "c" else ""))
        everything = sorted(ids)
        assert [one.id for one in registry.find_devices(limit=10)] == everything
        assert [one.id for one in registry.find_devices(limit=2)] == everything[:2]
        assert [one.id for one in registry.find_devices(after=everything[1], limit=2)] == everything[2:]
        for text, found in (("B", ["B-2", "b%3"]), ("%", ["b%3"]), ("aNN", ["c"]), ("none", []), ("", everything)):
            assert [one.id for one in registry.find_devices(text, limit=10)] == found
            assert registry.count_devices(text) == len(found)

    def test_a_device_is_changed_in_the_version_that_was_read_with_its_line_or_not_at_all(
        self, registry: Registry
    ) -> None:
        first = Device(id="cgm-1", etag="e1", primary_thumbprint="A1")
        registry.create_device(first)
        before, version = registry.audit_length(), registry.version
        after = structs.replace(first, enabled=False, etag="e2", primary_thumbprint="A2")
        with pytest.raises(EtagDiffers):
            registry.change_device(after, "disabled", etag="e0", by="anna", at_us=5)
        with pytest.raises(NotFound):
            registry.change_device(Device(id="cgm-2"), "disabled", etag="", by="anna", at_us=5)
        assert (registry.device("cgm-1"), registry.audit_length(), registry.version) == (first, before, version)
        registry.change_device(after, "disabled", etag="e1", by="anna", at_us=5)
        assert registry.device("cgm-1") == after and registry.version > version
        assert [registry.knows_thumbprint(one) for one in ("A1", "A2")] == [False, True]
        (line,) = registry.audit(before)
        said = (line.at_us, line.by, line.action, line.kind, line.id)
        assert said == (5, "anna", "disabled", "device", "cgm-1")

    def test_many_lines_of_the_audit_trail_are_written_in_order_and_sealed(self, registry: Registry) -> None:
        registry.note("changed", "device", "cgm-0", by="anna", at_us=1)
        registry.note_all([Act("allowed: command", "device", f"cgm-{number}", "service", number) for number in (2, 3)])
        registry.note_all([])
        assert [(line.number, line.id, line.at_us) for line in registry.audit()] == [
            (1, "cgm-0", 1),
            (2, "cgm-2", 2),
            (3, "cgm-3", 3),
        ]
        assert first_broken(registry.audit()) is None
