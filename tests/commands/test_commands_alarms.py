"""`islet alarms` as somebody at a terminal meets it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from islet.cli import main
from islet.model.people import Patient, Role, User
from islet.notify.policy import DEFAULT
from islet.opened import opened_outbox, opened_registry
from islet.settings import Settings

MAIL = {"ISLET_SMTP_HOST": "127.0.0.1", "ISLET_SMTP_SENDER": "a@b"}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(data_dir=tmp_path)
    with opened_registry(settings) as registry:
        registry.put_patient(Patient(id="p-1"))
        registry.put_user(User(name="anna", role=Role.CARE_PARTNER, password_hash="", patients=("p-1",)))
    return settings


def islet(settings: Settings, *words: str) -> Result:
    return CliRunner().invoke(main, ["--data-dir", str(settings.data_dir), *words], env=MAIL)


def test_a_policy_is_shown_changed_refused_and_reset(settings: Settings, tmp_path: Path) -> None:
    shown = islet(settings, "alarms", "policy", "--patient", "p-1")
    assert shown.exit_code == 0, shown.output
    policy = json.loads(shown.output)
    assert len(policy["steps"]) == len(DEFAULT.steps)

    file = tmp_path / "policy.json"
    file.write_text(json.dumps(policy | {"again_min": 15}))
    changed = islet(settings, "alarms", "policy", "--patient", "p-1", "--set", str(file), "--by", "nurse")
    assert json.loads(changed.output)["again_min"] == 15
    file.write_text(json.dumps(policy | {"steps": []}))
    refused = islet(settings, "alarms", "policy", "--patient", "p-1", "--set", str(file))
    assert (refused.exit_code, "urgent" in refused.output) == (1, True)
    file.write_text(json.dumps(policy | {"quit": 1}))
    assert "unknown field" in islet(settings, "alarms", "policy", "--set", str(file)).output
    assert "nurse (account " in islet(settings, "audit", "list").output
    assert json.loads(islet(settings, "alarms", "policy", "--patient", "p-1", "--reset").output)["again_min"] == 30
    assert islet(settings, "alarms", "policy", "--patient", "p-9").exit_code == 1


def test_a_contact_is_added_tested_and_forgotten_and_its_address_is_never_shown(settings: Settings) -> None:
    added = islet(
        settings, "alarms", "add-contact", "email", "anna", "--user", "anna", "--address", "anna@c", "--shows-name"
    )
    assert added.exit_code == 0, added.output
    shown = islet(settings, "alarms", "contacts").output
    assert shown == "email\tanna\tanna\tname\tused\n"
    assert islet(settings, "alarms", "test", "email", "anna").exit_code == 0
    with opened_outbox(settings) as box:
        assert box.counts()["pending"] == 1
    status = islet(settings, "alarms", "status")
    assert (status.exit_code, "pending 1" in status.output) == (0, True)
    assert islet(settings, "alarms", "remove-contact", "email", "anna").exit_code == 0
    assert islet(settings, "alarms", "contacts").output == ""
    assert "anna@c" not in islet(settings, "audit", "list", "--values").output


def test_an_address_that_the_channel_does_not_take_is_refused_without_being_shown(settings: Settings) -> None:
    refused = islet(settings, "alarms", "add-contact", "email", "x", "--address", "no-address")
    assert (refused.exit_code, "no-address" in refused.output) == (1, False)
    off = islet(settings, "alarms", "add-contact", "telegram", "x", "--address", "1")
    assert "not set up here; set telegram_token" in off.output
    assert islet(settings, "alarms", "test", "email", "x").exit_code == 1
