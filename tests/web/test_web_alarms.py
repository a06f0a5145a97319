"""Who is told, who may change that, and the answers that come from outside of the portal."""

import json
import re

import pytest
from msgspec import structs

from islet.model.alerts import Severity
from islet.model.people import Role
from islet.model.time import HOUR_US, MINUTE_US, SECOND_US
from islet.model.topics import Topic
from islet.notify.policy import DEFAULT, Step
from islet.notify.recipients import Contact
from tests.web.portal import Site

HERE = {"sec-fetch-site": "same-origin"}


@pytest.fixture
def ward(site: Site) -> Site:
    """Anna cares for p-1 and has a mailbox; p-1 has an urgent low, and she has been told."""
    site.add_user("anna", Role.CARE_PARTNER, "p-1")
    site.book.put(Contact(id="anna", channel="email", address="a@b", user="anna"), by="anna", at_us=site.now_us)
    return site


def alarm(ward: Site) -> str:
    alert = ward.open_alert("urgent_low", "p-1", Severity.URGENT)
    ward.tell()
    return alert


async def test_a_link_that_a_mail_server_follows_acknowledges_nothing(ward: Site) -> None:
    alert = alarm(ward)
    client = ward.client()
    page = await client.get(f"/acknowledge/{ward.sent[0].token}", headers={"accept": "text/html"})
    assert page.status_code == 200
    assert '<form method="post"' in page.text
    assert not any(word in page.text for word in ("p-1", "Ada", "Urgent low")), "it tells nothing of the alert"
    stored = ward.store.alert(alert)
    assert stored is not None
    assert stored.acknowledged_us is None


async def test_the_button_acknowledges_in_the_name_of_who_was_told(ward: Site) -> None:
    alert = alarm(ward)
    answer = await ward.client().post(
        f"/acknowledge/{ward.sent[0].token}", headers={"accept": "text/html", "accept-language": "zh-CN"}
    )
    assert (answer.status_code, "已确认" in answer.text) == (200, True)
    stored = ward.store.alert(alert)
    assert stored is not None
    assert stored.acknowledged_by == "anna"


@pytest.mark.parametrize("token", ["x", "a" * 22, "%2e%2e"])
async def test_a_token_that_was_made_up_is_unknown(ward: Site, token: str) -> None:
    alarm(ward)
    answer = await ward.client().post(f"/acknowledge/{token}")
    assert (answer.status_code, answer.json()) == (404, {"answer": "unknown"})


async def test_another_sites_page_cannot_press_the_button(ward: Site) -> None:
    alarm(ward)
    path = f"/acknowledge/{ward.sent[0].token}"
    answer = await ward.client().post(path, headers={"sec-fetch-site": "cross-site"})
    assert answer.status_code == 403


async def test_an_address_that_was_removed_answers_nothing_any_more(ward: Site) -> None:
    alarm(ward)
    ward.book.remove(ward.book.of("anna")[0].lane, by="admin", at_us=ward.now_us)
    answer = await ward.client().post(f"/acknowledge/{ward.sent[0].token}")
    assert (answer.status_code, answer.json()) == (403, {"answer": "refused"})


@pytest.mark.parametrize(("secret", "status"), [("right", 200), ("wrong", 403), ("", 403)])
async def test_an_update_of_telegram_needs_its_secret(site: Site, secret: str, status: int) -> None:
    headers = {"x-telegram-bot-api-secret-token": secret}
    assert (await site.client().post("/telegram", json={"update_id": 1}, headers=headers)).status_code == status
    assert (await site.client().post("/telegram", content=b"{", headers=headers)).status_code == 400
    assert (await site.client().post("/telegram", content=b"[" * 70_000, headers=headers)).status_code == 413


async def test_who_was_told_is_shown_to_those_who_may_see_the_patient(ward: Site) -> None:
    alert = alarm(ward)
    shown = (await ward.client("nurse").get(f"/api/alerts/{alert}/deliveries")).json()
    (told,) = shown["told"]
    assert (told["channel"], told["recipient"], told["kind"], told["state"]) == ("email", "anna", "opened", "sent")
    assert shown["snooze_most_min"] == 30.0
    ward.add_user("other", Role.CLINICIAN, "p-2")
    other, never = ward.client("other"), alert + "0"
    for id in (alert, never):  # whether there is one is not for them to know
        assert (await other.get(f"/api/alerts/{id}/deliveries")).status_code == 403
        assert (
            await other.post(f"/api/alerts/{id}/acknowledge", headers={"sec-fetch-site": "same-origin"})
        ).status_code == 403
    assert (await ward.client("nurse").get(f"/api/alerts/{never}/deliveries")).status_code == 404


async def test_a_message_that_did_not_arrive_is_shown_with_the_alert_and_to_operators(ward: Site) -> None:
    ward.book.put(Contact(id="anna", channel="email", address="broken@b", user="anna"), by="anna", at_us=ward.now_us)
    alert = alarm(ward)
    ward.add_user("other", Role.CLINICIAN, "p-2")
    assert (await ward.client("nurse").get("/api/troubles")).json() == {alert: "undeliverable"}
    assert (await ward.client("other").get("/api/troubles")).json() == {}
    assert "the server refuses the recipient" in (await ward.client("admin").get("/operations")).text


async def test_a_snooze_is_bounded_kept_in_the_trail_and_pages_nobody_meanwhile(ward: Site) -> None:
    alert = alarm(ward)
    client, path = ward.client("nurse"), f"/api/alerts/{alert}/snooze"
    for minutes in (31, 0, -1, "x", None):
        assert (await client.post(path, json={"minutes": minutes}, headers=HERE)).status_code == 400, minutes
    answer = await client.post(path, json={"minutes": 30}, headers=HERE)
    assert answer.json() == {"until_us": ward.now_us + 30 * MINUTE_US}
    assert ward.registry.audit()[-1].action == "snoozed for 30 min"
    ward.now_us += 29 * MINUTE_US
    ward.tell()
    assert [m.kind for m in ward.sent] == ["opened"]
    ward.now_us += MINUTE_US + SECOND_US
    ward.tell()
    assert [m.kind for m in ward.sent] == ["opened", "repeated"]
    ward.add_user("mirror", Role.APPLICATION, "p-1")
    assert (await ward.client("mirror").post(path, json={"minutes": 5}, headers=HERE)).status_code == 403


# policies


def fields(page: str) -> dict[str, str | list[str]]:
    """The form of a page, as a browser would send it."""
    found: dict[str, str | list[str]] = {}
    for name, value in re.findall(r'<input [^>]*name="([^"]+)"[^>]*? value="([^"]*)" placeholder', page):
        found[name] = value
    for name, value in re.findall(r'<input id="[a-z-]+"[^>]*name="([a-z_.]+)"[^>]*value="([^"]*)"', page):
        found[name] = value
    for name, options in re.findall(r'<select [^>]*name="([^"]+)">(.*?)</select>', page, re.DOTALL):
        chosen = re.search(r'value="([^"]*)" selected', options)
        found[name] = chosen[1] if chosen else ""
    for name, value in re.findall(r'type="hidden" name="([0-9.a-z]+)" value="([^"]+)"', page):
        found[name] = value
    for name, value in re.findall(r'type="checkbox" name="([^"]+)" value="([^"]+)" checked', page):
        found[name] = [*found.get(name, []), value]
    return found


async def test_a_policy_saved_as_it_is_shown_is_the_same_policy(site: Site) -> None:
    client = site.client("nurse")
    lows = Step(who="user:nurse", channel="email", contact="nurse", after_min=5, rules=("low",))
    more = (*DEFAULT.again_severities, Severity.WARNING)
    before = structs.replace(DEFAULT, steps=(*DEFAULT.steps, lows), again_severities=more)
    site.book.set_policy("", before, rules=["low", "high"], by="admin", at_us=site.now_us)
    entered = fields((await client.get("/patients/p-1/policy")).text)
    answer = await client.post("/patients/p-1/policy", data=entered, headers=HERE)
    assert answer.status_code == 303, re.findall(r'role="alert".*', answer.text)
    assert site.book.policy("p-1") == (before, True)
    assert site.book.policy("p-2") == (before, False)
    line = site.registry.audit()[-1]
    assert (line.by, line.action, line.kind, line.id) == ("nurse", "added", "alarm_policy", "p-1")


async def test_what_is_entered_is_kept_and_can_be_taken_back(site: Site) -> None:
    client = site.client("nurse")
    entered = fields((await client.get("/patients/p-1/policy")).text)
    new = str(len(DEFAULT.steps))
    entered |= {f"{new}.who": "clinician", f"{new}.channel": "email", f"{new}.after": "10", f"{new}.repeat": "15"}
    entered |= {f"{new}.severity": ["urgent"], "quiet_begin": "22:00", "quiet_end": "07:00", "delay.low": "20"}
    assert (await client.post("/patients/p-1/policy", data=entered, headers=HERE)).status_code == 303
    policy, _ = site.book.policy("p-1")
    step = policy.steps[-1]
    assert (step.who, step.channel, step.after_min, step.repeat_min) == ("clinician", "email", 10.0, 15.0)
    assert policy.quiet is not None
    assert (policy.quiet.begin, policy.follower_delay_min["low"]) == ("22:00", 20.0)
    assert (await client.post("/patients/p-1/policy", data={"back": "1"}, headers=HERE)).status_code == 303
    assert site.book.policy("p-1") == (DEFAULT, False)


@pytest.mark.parametrize(
    "wrong",
    [
        {"0.who": "", "2.who": "", "6.who": ""},  # nobody is woken
        {"again_min": "1"},
        {"again_min": "soon"},
        {"again_min": "nan"},
        {"quiet_begin": "22:00"},
        {"quiet_begin": "25:00", "quiet_end": "07:00"},
        {"0.who": "everybody"},
        {"delay.lwo": "5"},
        {"0.severity": "loud"},
    ],
)
async def test_a_policy_that_keeps_nobody_safe_is_refused_and_shown_again(site: Site, wrong: dict[str, str]) -> None:
    client = site.client("nurse")
    entered = fields((await client.get("/patients/p-1/policy")).text) | wrong
    answer = await client.post("/patients/p-1/policy", data=entered, headers=HERE)
    assert answer.status_code == 400
    assert 'role="alert"' in answer.text
    assert site.book.policy("p-1") == (DEFAULT, False)


async def test_only_those_responsible_change_who_is_told(ward: Site) -> None:
    entered = fields((await ward.client("nurse").get("/patients/p-1/policy")).text)
    assert (await ward.client("anna").get("/patients/p-1/policy")).status_code == 200
    for user, path, status in (
        ("anna", "/patients/p-1/policy", 403),
        ("nurse", "/patients/p-2/policy", 403),
        ("nurse", "/policy", 403),
        ("admin", "/policy", 303),
    ):
        answer = await ward.client(user).post(path, data=entered, headers=HERE)
        assert answer.status_code == status, (user, path)


async def test_the_page_says_whom_a_step_reaches_and_who_cannot_be_reached(ward: Site) -> None:
    page = (await ward.client("nurse").get("/patients/p-1/policy")).text
    assert "Reaches: anna (E-mail)" in " ".join(page.split())
    assert "Reaches nobody now" in page, "the patient has no address"


# one's own addresses


async def test_an_address_is_added_tested_changed_and_removed_by_its_person(site: Site) -> None:
    client = site.client("nurse")
    added = {"act": "add", "channel": "email", "address": "n@example.org", "time_zone": "Europe/Vienna"}
    assert (await client.post("/account", data=added, headers=HERE)).headers["location"] == "/account?said=kept"
    (contact,) = site.book.of("nurse")
    assert (contact.address, contact.time_zone, contact.shows_name) == ("n@example.org", "Europe/Vienna", False)
    assert "n@example.org" not in (await client.get("/account")).text
    assert not any("n@example.org" in line.after for line in site.registry.audit()), "the trail holds no address"
    lane = {"channel": contact.channel, "id": contact.id}
    await client.post("/account", data={**lane, "act": "keep", "shows_name": "1"}, headers=HERE)
    (changed,) = site.book.of("nurse")
    assert (changed.shows_name, changed.shows_value, changed.address) == (True, False, "n@example.org")
    await client.post("/account", data={**lane, "act": "test"}, headers=HERE)
    site.tell()
    assert [message.kind for message in site.sent] == ["test"]
    again = await client.post("/account", data={**lane, "act": "test"}, headers=HERE)
    assert again.headers["location"].endswith("just")
    await site.client().post(f"/acknowledge/{site.sent[0].token}")
    assert "Last test answered" in (await client.get("/account")).text
    await client.post("/account", data={**lane, "act": "remove"}, headers=HERE)
    assert site.book.of("nurse") == []


async def test_nobody_touches_anybody_elses_address(ward: Site) -> None:
    for act in ("keep", "test", "remove"):
        data = {"act": act, "channel": "email", "id": "anna", "shows_name": "1"}
        assert (await ward.client("nurse").post("/account", data=data, headers=HERE)).status_code == 404
    (contact,) = ward.book.of("anna")
    assert not contact.shows_name


@pytest.mark.parametrize(
    ("channel", "address", "status", "said"),
    [("email", "no address", 303, "address"), ("webhook", "https://a", 400, ""), ("telegram", "1", 400, "")],
)
async def test_what_is_no_address_or_no_channel_of_ones_own_is_refused(
    site: Site, channel: str, address: str, status: int, said: str
) -> None:
    data = {"act": "add", "channel": channel, "address": address}
    answer = await site.client("nurse").post("/account", data=data, headers=HERE)
    assert answer.status_code == status
    assert answer.headers.get("location", "").endswith(said)
    assert site.book.of("nurse") == []


async def test_a_browser_is_subscribed_once_however_often_it_asks(site: Site) -> None:
    client = site.client("nurse")
    wish = {"subscription": {"endpoint": "https://push/1", "keys": {"auth": "x"}}, "time_zone": "Nowhere/None"}
    for _ in range(2):
        assert (await client.post("/account/push", json=wish, headers=HERE)).status_code == 200
    (contact,) = site.book.of("nurse")
    assert (contact.channel, json.loads(contact.address), contact.time_zone) == (
        "webpush",
        wish["subscription"],
        "UTC",
    )
    assert (await client.post("/account/push", content=b"{}", headers=HERE)).status_code == 400
    long = {"subscription": {"endpoint": "x" * 9000}}
    assert (await client.post("/account/push", json=long, headers=HERE)).status_code == 413


async def test_operations_shows_recipients_burden_and_what_nobody_answered(ward: Site) -> None:
    alarm(ward)
    page = (await ward.client("admin").get("/operations")).text
    assert "<td>anna</td>" in page
    assert "Ada Example" in page
    ward.now_us += 13 * HOUR_US
    ward.tell()
    assert (await ward.client("nurse").get("/api/troubles")).json() != {}
    assert "Alerts that nobody answered" in (await ward.client("admin").get("/operations")).text


async def test_operations_is_shown_while_the_log_does_not_answer(ward: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log on other machines, whose broker is away: that is when somebody looks there."""

    def away() -> list[object]:
        raise OSError("Kafka: no answer")

    monkeypatch.setattr(ward.log, "cursors", away)
    answer = await ward.client("admin").get("/operations")
    assert (answer.status_code, "The log does not answer." in answer.text) == (200, True)


async def test_an_alert_found_in_history_pages_nobody(ward: Site) -> None:
    from islet.model.alerts import AlertChange

    onset_us = ward.now_us - MINUTE_US
    ward.add_change(
        AlertChange(
            change="opened",
            rule="urgent_low",
            patient="p-1",
            onset_us=onset_us,
            at_us=onset_us,
            severity=Severity.URGENT,
            retrospective=True,
        )
    )
    ward.tell()
    assert ward.sent == []
    assert sum(ward.log.end(Topic.ALERTS)) == 1


@pytest.mark.parametrize(
    "body", [b"[" * 3_000, b'{"minutes":1,"more":' + b'{"a":' * 800, b"\xff", b'{"minutes":"\xff"}']
)
async def test_a_body_that_is_none_is_400_and_one_that_is_too_long_413(ward: Site, body: bytes) -> None:
    alert = ward.open_alert("low", "p-1", Severity.URGENT)
    nurse = ward.client("nurse")
    for path in (f"/api/alerts/{alert}/snooze", "/account/push", "/telegram", "/api/log/alerts/cursor/a"):
        headers = {"sec-fetch-site": "same-origin"}
        assert (await nurse.post(path, content=body, headers=headers)).status_code == 400, path
        assert (await nurse.post(path, content=b" " * 70_000, headers=headers)).status_code == 413, path
