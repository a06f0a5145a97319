"""Channels as the settings say, and what an address has to be."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from islet.channels import Channels
from islet.errors import SettingError
from islet.notify.base import Kind, Message
from islet.notify.recipients import Contact
from islet.settings import Settings
from islet.store.registry import SqliteRegistry
from tests.conftest import Missing
from tests.notify.channels import need
from tests.notify.fake_http import fake_http
from tests.notify.fake_telegram import fake_telegram
from tests.notify.subscription import browser

SECRET = "whsec_" + "QUJD" * 8
SAID = Message(id="k", alert="a", title="T", text="X", kind=Kind.OPENED, token="t")


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[SqliteRegistry]:
    one = SqliteRegistry(tmp_path / "store.db", bytes(32))
    yield one
    one.close()


def channels(registry: SqliteRegistry, **settings: object) -> Channels:
    chosen = replace(Settings(notify_allowed_networks=("127.0.0.0/8",)), **settings)  # type: ignore[arg-type]
    return Channels(chosen, registry, lambda language, text: f"{language} {text}")


def test_only_what_is_set_up_is_there(registry: SqliteRegistry, missing: Missing) -> None:
    need("pywebpush", missing)
    need("apprise", missing)
    assert set(channels(registry).opens) == {"webhook", "apprise"}
    full = {"telegram_token": "1:t", "smtp_host": "h", "smtp_sender": "a@b", "vapid_contact": "mailto:a@b"}
    full["ntfy_base_url"] = "https://ntfy.example"
    everything = channels(registry, **full)
    assert set(everything.opens) == {"webhook", "ntfy", "apprise", "telegram", "email", "webpush"}
    assert len(everything.push_key) == 87
    assert everything.push_key == channels(registry, **full).push_key, "another key would lose every browser"


@pytest.mark.parametrize("wrong", [{"telegram_chat": "7"}, {"smtp_host": "h"}])
def test_settings_that_do_not_fit_are_refused(registry: SqliteRegistry, wrong: dict[str, str]) -> None:
    with pytest.raises(SettingError):
        channels(registry, **wrong)


def test_each_persons_own_chat_is_reached_through_the_one_bot(registry: SqliteRegistry) -> None:
    with fake_telegram() as fake:
        own = channels(registry, telegram_token="1:t", telegram_base_url=fake.base_url)
        contact = Contact(id="anna", channel="telegram", address="55", language="zh-CN")
        notifier = own.opens["telegram"](contact)
        notifier.send(SAID, 0)
        assert notifier.recipient == "anna"
        ((_, body),) = fake.calls()
        assert body["chat_id"] == "55"
        assert "zh-CN Acknowledge" in str(body["reply_markup"]), "the button is in the recipient's language"
        own.close()


def test_a_webhooks_address_is_its_url_and_its_secrets(registry: SqliteRegistry) -> None:
    own = channels(registry)
    with fake_http() as fake:
        address = json.dumps({"url": fake.base_url + "/hook", "secrets": [SECRET]})
        own.opens["webhook"](Contact(id="x", channel="webhook", address=address)).send(SAID, 0)
        assert fake.requests[0].path == "/hook"
    for wrong in ("https://a", '{"url": "https://a"}', '{"url": "https://a", "secrets": ["x"]}'):
        with pytest.raises(SettingError) as refused:
            own.check(Contact(id="x", channel="webhook", address=wrong))
        assert "https://a" not in str(refused.value)


@pytest.mark.parametrize(
    ("channel", "address"),
    [("ntfy", "a topic"), ("email", "a@b"), ("webpush", "{}"), ("apprise", "json://localhost"), ("pigeon", "x")],
)
def test_what_a_channel_does_not_take_or_is_not_set_up_is_refused(
    registry: SqliteRegistry, channel: str, address: str
) -> None:
    with pytest.raises(SettingError):
        channels(registry, ntfy_base_url="https://ntfy.example").check(
            Contact(id="x", channel=channel, address=address)
        )


def test_a_browsers_subscription_is_taken(registry: SqliteRegistry, missing: Missing) -> None:
    need("pywebpush", missing)
    with fake_http() as fake:
        subscription = browser(fake.base_url + "/push").subscription
        own = channels(registry, vapid_contact="mailto:a@example.org")
        own.opens["webpush"](Contact(id="x", channel="webpush", address=subscription)).send(SAID, 0)
        assert fake.requests[0].headers["Authorization"].startswith("vapid t=")
