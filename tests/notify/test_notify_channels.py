"""What is special about each channel: what it says on the wire, and who could read it."""

import base64
import json
import ssl
from collections.abc import Iterator
from datetime import timedelta
from email import message_from_string
from email import policy as email_policy
from pathlib import Path

import pytest

from islet.errors import SettingError
from islet.model.time import DAY_US, SECOND_US
from islet.notify.apprise import SERVICES, AppriseNotifier
from islet.notify.base import Delivered, Failed, Kind, Message, RetryAfter
from islet.notify.email import EmailNotifier, Security
from islet.notify.guard import GuardedClient
from islet.notify.ntfy import NtfyNotifier
from islet.notify.webhook import WebhookNotifier, key_of, signed
from islet.notify.webpush import SECRET_NAME, WebPushNotifier, topic_of, vapid_key
from tests.conftest import Missing
from tests.notify.certificate import self_signed
from tests.notify.channels import LOCAL, SECRET, need
from tests.notify.fake_http import FakeHttp, fake_http, raw
from tests.notify.fake_smtp import FakeSmtp, fake_smtp
from tests.notify.scenario import NOW
from tests.notify.subscription import AUTH, SecretsInMemory, browser

URL = "https://islet.example.org/acknowledge/TOKEN"
MESSAGE = Message(
    id="k/0", alert="low~p-7~0", title="Low", text="Since 14:13.", urgent=True, token="TOKEN", acknowledge_url=URL
)
ENDED = Message(id="k/1", alert="low~p-7~0", title="Low", text="Ended.", kind=Kind.CLEARED, urgent=True)


@pytest.fixture
def client() -> Iterator[GuardedClient]:
    one = GuardedClient(allowed=LOCAL, timeout_s=2)
    yield one
    one.close()


@pytest.fixture
def fake() -> Iterator[FakeHttp]:
    with fake_http() as server:
        yield server


# webhook


def test_a_signature_is_that_of_the_specification() -> None:
    """The example of the reference libraries (Standard Webhooks, and Svix before it)."""
    key = key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = signed([key], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_webhook_is_signed_with_both_secrets_while_one_replaces_the_other(
    client: GuardedClient, fake: FakeHttp
) -> None:
    other = "whsec_" + base64.b64encode(bytes(range(32))).decode()
    WebhookNotifier(fake.base_url, [SECRET, other], "program", client).send(MESSAGE, NOW)
    (request,) = fake.requests
    id, at_s = request.headers["webhook-id"], int(request.headers["webhook-timestamp"])
    assert at_s == NOW // SECOND_US
    signatures = request.headers["webhook-signature"].split(" ")
    assert signatures == [
        signed([key_of(secret)], id, at_s, request.body)["webhook-signature"] for secret in (SECRET, other)
    ]
    body = json.loads(request.body)
    assert (body["type"], body["data"]["acknowledge_url"]) == ("alert.opened", URL)


def test_a_webhook_that_is_sent_again_has_the_same_id_and_another_message_another(
    client: GuardedClient, fake: FakeHttp
) -> None:
    hook = WebhookNotifier(fake.base_url, [SECRET], "program", client)
    for message in (MESSAGE, MESSAGE, ENDED):
        hook.send(message, NOW)
    first, again, ended = (request.headers["webhook-id"] for request in fake.requests)
    assert first == again != ended


@pytest.mark.parametrize(
    "secret", ["", "whsec_", "whsec_QUJD", "QUJD" * 8, "whsec_" + "Q" * 200, "whsec_!" + "QUJD" * 8]
)
def test_a_secret_that_is_none_is_refused_without_showing_it(secret: str) -> None:
    with pytest.raises(SettingError) as refused:
        key_of(secret)
    assert secret == "" or secret not in str(refused.value).replace("whsec_ and", "")


def test_a_webhook_into_our_own_network_is_never_called(fake: FakeHttp) -> None:
    strict = GuardedClient(timeout_s=0.5)
    outcome = WebhookNotifier(fake.base_url.replace("http:", "https:"), [SECRET], "program", strict).send(MESSAGE, NOW)
    assert outcome == Failed("webhook: the name leads to an address that is not public, nor in notify_allowed_networks")
    assert fake.requests == []
    strict.close()


# ntfy


def test_an_urgent_ntfy_message_is_the_loudest_and_can_be_acknowledged(client: GuardedClient, fake: FakeHttp) -> None:
    fake.usual = raw(200, b'{"id": "n1"}')
    notifier = NtfyNotifier("anna-7", "anna", client, base_url=fake.base_url, token="tk_x")
    assert notifier.send(MESSAGE, NOW) == Delivered("n1")
    notifier.send(ENDED, NOW)
    opened, ended = (json.loads(request.body) for request in fake.requests)
    assert (opened["topic"], opened["priority"]) == ("anna-7", 5)
    assert opened["actions"] == [
        {"action": "http", "label": "Acknowledge", "url": URL, "method": "POST", "clear": True}
    ]
    assert (ended["priority"], "actions" in ended) == (2, False)
    assert fake.requests[0].headers["Authorization"] == "Bearer tk_x"


def test_a_topic_that_would_be_another_address_is_refused(client: GuardedClient) -> None:
    with pytest.raises(SettingError, match="topic"):
        NtfyNotifier("a/b", "anna", client)


# web push


def test_only_the_browser_can_read_a_push_and_the_service_learns_how_urgent_it_is(
    client: GuardedClient, fake: FakeHttp, missing: Missing
) -> None:
    need("pywebpush", missing)
    import http_ece
    from py_vapid import Vapid02

    secrets, phone = SecretsInMemory(), browser(fake.base_url + "/push/1")
    key = vapid_key(secrets)
    notifier = WebPushNotifier(phone.subscription, "phone", client, key=key, contact="mailto:a@example.org")
    assert isinstance(notifier.send(MESSAGE, NOW), Delivered)
    notifier.send(ENDED, NOW)
    request, ended = fake.requests
    assert b"Low" not in request.body
    read = json.loads(http_ece.decrypt(request.body, private_key=phone.key, auth_secret=AUTH, version="aes128gcm"))
    assert (read["title"], read["text"], read["silent"]) == ("Low", "Since 14:13.", False)
    assert (request.headers["TTL"], request.headers["Urgency"]) == ("1800", "high")
    assert ended.headers["Urgency"] == "normal"
    assert request.headers["Topic"] == ended.headers["Topic"] == read["tag"] == topic_of(MESSAGE.alert)
    assert len(read["tag"]) <= 32
    assert Vapid02.verify(request.headers["Authorization"])
    assert f"k={key.public}" in request.headers["Authorization"]
    claims = json.loads(base64.urlsafe_b64decode(request.headers["Authorization"].split(".")[1] + "=="))
    assert claims["aud"] == fake.base_url
    assert NOW < claims["exp"] * SECOND_US <= NOW + DAY_US


def test_the_key_of_an_installation_is_made_once_and_kept(missing: Missing) -> None:
    need("pywebpush", missing)
    secrets = SecretsInMemory()
    assert vapid_key(secrets) == vapid_key(secrets)
    assert list(secrets) == [SECRET_NAME]
    assert vapid_key(SecretsInMemory()) != vapid_key(secrets)


@pytest.mark.parametrize(
    "subscription", ["", "[]", "{}", '{"endpoint": "https://x", "keys": {"p256dh": "!", "auth": "!"}}']
)
def test_a_subscription_that_is_none_is_refused_without_showing_it(
    subscription: str, client: GuardedClient, missing: Missing
) -> None:
    need("pywebpush", missing)
    with pytest.raises(SettingError, match="PushSubscription"):
        WebPushNotifier(subscription, "phone", client, key=vapid_key(SecretsInMemory()), contact="mailto:a@example.org")


# e-mail


def mailbox(
    smtp: FakeSmtp, security: Security, context: ssl.SSLContext | None = None, password: str = ""
) -> EmailNotifier:
    return EmailNotifier(
        "anna@example.org",
        "anna",
        sender="islet@example.org",
        host="localhost",
        port=smtp.port,
        security=security,
        user="nurse" if password else "",
        password=password,
        context=context,
        timeout_s=2,
    )


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    return self_signed(tmp_path_factory.mktemp("tls"), "localhost", timedelta(days=1))


Tls = tuple[ssl.SSLContext, ssl.SSLContext]


def test_a_mail_says_what_there_is_to_say_and_that_no_answer_is_wanted() -> None:
    with fake_smtp() as smtp:
        assert isinstance(mailbox(smtp, "none").send(MESSAGE, NOW), Delivered)
        mailbox(smtp, "none").send(MESSAGE, NOW)
    first, again = (message_from_string(text, policy=email_policy.default) for text in smtp.mails)
    assert (first["Subject"], first["To"], first["Auto-Submitted"]) == ("Low", "anna@example.org", "auto-generated")
    assert first["Message-ID"] == again["Message-ID"]
    assert first["Date"].datetime.timestamp() == NOW // 1_000_000
    assert first.get_content().split() == ["Since", "14:13.", URL]


def test_a_title_cannot_add_a_header() -> None:
    with fake_smtp() as smtp:
        bad = Message(id="k", alert="a", title="Low\r\nBcc: all@example.org", text="t")
        assert isinstance(mailbox(smtp, "none").send(bad, NOW), Delivered)
    assert message_from_string(smtp.mails[0], policy=email_policy.default)["Bcc"] is None


def test_a_mail_and_the_password_go_only_through_an_encrypted_connection(tls: Tls) -> None:
    server, trusting = tls
    with fake_smtp(server) as smtp:
        assert isinstance(mailbox(smtp, "starttls", trusting, "right").send(MESSAGE, NOW), Delivered)
    assert (smtp.encrypted, smtp.users) == ([True], ["nurse"])


def test_a_server_without_encryption_or_with_a_strange_certificate_gets_nothing(tls: Tls) -> None:
    server, _ = tls
    with fake_smtp() as plain, fake_smtp(server) as strange:
        for smtp in (plain, strange):
            outcome = mailbox(smtp, "starttls", None, "right").send(MESSAGE, NOW)
            assert isinstance(outcome, RetryAfter)
            assert smtp.mails == smtp.users == []


def test_a_password_that_is_refused_can_be_mended(tls: Tls) -> None:
    server, trusting = tls
    with fake_smtp(server) as smtp:
        outcome = mailbox(smtp, "starttls", trusting, "wrong").send(MESSAGE, NOW)
    assert outcome == RetryAfter(0, "email: 535, the user name or password is refused")


@pytest.mark.parametrize("answer", ["530 log in first", "553 not your sender", "451 later"])
def test_a_server_that_refuses_the_sender_can_be_mended(answer: str) -> None:
    with fake_smtp() as smtp:
        smtp.to_sender = answer
        outcome = mailbox(smtp, "none").send(MESSAGE, NOW)
    assert isinstance(outcome, RetryAfter)
    assert f"email: {answer[:3]}" in outcome.reason


def test_a_password_that_the_protocol_cannot_carry_is_said_without_showing_it() -> None:
    with fake_smtp() as smtp:
        outcome = mailbox(smtp, "none", password="geheim\u00df").send(MESSAGE, NOW)
    assert outcome == RetryAfter(0, "email: expected smtp_user and smtp_password in ASCII")


@pytest.mark.parametrize("address", ["", "a@", "@b", "anna", "a@b, c@d", "a@b\r\nBcc: c@d", "<a@b>"])
def test_an_address_that_is_none_or_more_than_one_is_refused(address: str) -> None:
    with pytest.raises(SettingError, match="name@host"):
        EmailNotifier(address, "anna", sender="islet@example.org", host="localhost", port=25)


# apprise


def test_only_services_that_carry_messages_to_people_are_taken(missing: Missing, tmp_path: Path) -> None:
    need("apprise", missing)
    for url in ("json://127.0.0.1/x", f"file://{tmp_path}", "syslog://", "dbus://", "mailto://a:b@example.org", ""):
        with pytest.raises(SettingError, match="one of"):
            AppriseNotifier(url, "ward")
    with pytest.raises(SettingError, match="form that Apprise gives"):
        AppriseNotifier("slack://", "ward")


def test_every_service_on_the_list_is_one_that_apprise_has(missing: Missing) -> None:
    need("apprise", missing)
    from apprise import Apprise

    known: set[str] = set()
    for service in Apprise().details()["schemas"]:
        known |= {*(service["protocols"] or ()), *(service["secure_protocols"] or ())}
    assert known >= SERVICES
