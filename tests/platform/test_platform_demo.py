"""Who can log in to a demonstration, and what they see there."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from islet.access.actions import Action
from islet.access.decide import decide
from islet.access.passwords import verify_password
from islet.demo import ADMINISTRATOR, NURSE, PARTNER, PATIENT, make_log_ins, provision, run_demo
from islet.errors import SettingError
from islet.model.people import Patient
from islet.opened import opened_registry
from islet.settings import Settings
from islet.store.base import Registry
from islet.store.consents import set_consent
from islet.store.principals import Principals

NOW_US = 1_800_000_000_000_000


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    """Of a demonstration with three simulated patients."""
    with opened_registry(Settings(data_dir=tmp_path)) as opened:
        provision(opened, 3, "localhost")
        yield opened


def seen(registry: Registry, name: str) -> list[str]:
    """The patients whom somebody may see."""
    user = registry.user(name)
    assert user is not None
    principal = Principals(registry).of_user(user, NOW_US)
    return [one.id for one in registry.patients() if decide(principal, Action.VIEW_PATIENT, one.id).allowed]


def test_each_role_sees_its_patients_and_all_have_the_password_that_is_shown(registry: Registry) -> None:
    password = make_log_ins(registry, NOW_US)
    everybody = ["sim-0001", "sim-0002", "sim-0003"]
    assert seen(registry, ADMINISTRATOR) == seen(registry, NURSE) == everybody
    assert seen(registry, PATIENT) == seen(registry, PARTNER) == ["sim-0001"]
    hashes = [user.password_hash for user in registry.users()]
    assert len(hashes) == 4
    assert all(verify_password(one, password) for one in hashes)


def test_a_second_start_leaves_alone_what_the_patient_has_said(registry: Registry) -> None:
    password = make_log_ins(registry, NOW_US)
    set_consent(registry, PARTNER, "sim-0001", given=False, by=PATIENT, at_us=NOW_US)
    assert make_log_ins(registry, NOW_US) == password
    assert seen(registry, PARTNER) == []


def test_where_the_followed_patient_was_erased_nobody_is_made_for_them(tmp_path: Path) -> None:
    with opened_registry(Settings(data_dir=tmp_path)) as registry:
        registry.put_patient(Patient(id="sim-0002", tags=("simulated",)))
        make_log_ins(registry, NOW_US)
        assert [user.name for user in registry.users()] == [ADMINISTRATOR, NURSE]


def test_without_a_door_for_its_devices_there_is_no_demonstration(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with pytest.raises(SettingError, match="mqtt_tls_port"):
        run_demo(Settings(data_dir=folder, mqtt_tls_port=0), patients=3, seed=1)
    assert not folder.exists()
