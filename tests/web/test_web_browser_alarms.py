"""Who is told, in a real browser: the fold below an alert, a pause, and messages pushed to the browser itself."""

import json
from datetime import UTC, datetime

from msgspec import structs
from playwright.sync_api import BrowserContext, Page, expect

from islet.log.base import Append
from islet.model.alerts import AlertChange, Severity
from islet.model.batch import DocumentRow, documents_batch
from islet.model.codec import encode_change
from islet.model.people import Role
from islet.model.time import MINUTE_US, to_us
from islet.model.topics import Topic
from islet.notify.recipients import Contact
from tests.web.browser import Open, browser, ended, live, open_page, started, ward
from tests.web.portal import Site

__all__ = ["browser", "open_page", "started", "ward"]  # fixtures
SUBSCRIBED = """
Notification.requestPermission = async () => "granted";
PushManager.prototype.getSubscription = async () => null;
PushManager.prototype.subscribe = async (options) => ({
  endpoint: "https://push.example/1", keys: { bytes: options.applicationServerKey.length } });
"""


def alarm(ward: Site) -> str:
    """An urgent low that Anna hears of, and that cannot be delivered to the nurse."""
    ward.add_user("anna", Role.CARE_PARTNER, "p-1")
    for user, address in (("anna", "a@b"), ("admin", "broken@b")):
        ward.book.put(Contact(id=user, channel="email", address=address, user=user), by=user, at_us=ward.now_us)
    alert = ward.open_alert("urgent_low", "p-1", Severity.URGENT)
    ward.tell()
    return alert


def test_below_an_alert_one_sees_who_was_told_and_pauses_the_messages(ward: Site, open_page: Open) -> None:
    alarm(ward)
    page = open_page("/alerts", "nurse", width=390)
    live(page)
    alert = page.locator('#active li[data-id^="urgent_low"]')
    alert.get_by_text("Who was told").click()
    expect(alert.locator(".told li")).to_have_text("anna (E-mail): alert, delivered (08:00)")
    alert.get_by_role("button", name="30 min").click()
    expect(alert.locator(".told")).to_contain_text("Messages are paused until 08:30.")
    assert len(ward.outbox.snoozes(ward.now_us)) == 1
    ward.open_alert("low", "p-1", Severity.WARNING)
    expect(page.locator('#active li[data-id^="low"]')).to_be_visible()
    expect(alert.locator(".told li")).to_be_visible()  # the list was made anew, and the fold stays open


def test_who_has_seen_an_alert_that_goes_on_can_say_so_again(ward: Site, open_page: Open) -> None:
    alarm(ward)
    page = open_page("/alerts", "nurse")
    live(page)
    alert = page.locator('#active li[data-id^="urgent_low"]')
    alert.get_by_role("button", name="Acknowledge").click()
    expect(alert.locator(".seen")).to_contain_text("Seen by nurse")
    before = ward.log.end(Topic.ALERTS)
    with page.expect_response("**/acknowledge"):
        alert.get_by_role("button", name="Acknowledge").click()
    assert sum(ward.log.end(Topic.ALERTS)) == sum(before) + 1


def test_at_home_the_page_of_the_one_patient_counts_what_nobody_has_seen(ward: Site, open_page: Open) -> None:
    alarm(ward)
    page = open_page("/", "anna", width=390)
    live(page)
    expect(page.locator("#unseen")).to_have_text("1")
    page.get_by_role("button", name="Acknowledge").first.click()
    expect(page.locator("#unseen")).to_be_hidden()


def test_earlier_alerts_are_asked_for(ward: Site, open_page: Open) -> None:
    for minutes in range(1, 130):
        ended(ward, "low", "p-1", Severity.NOTICE, 60 * minutes)
    page = open_page("/alerts", "nurse")
    live(page)
    items = page.locator("#recent li")
    expect(items).to_have_count(99)  # of the last hundred one is active
    page.get_by_role("button", name="Earlier alerts").click()
    expect(items).to_have_count(129)
    expect(page.get_by_role("button", name="Earlier alerts")).to_be_hidden()
    page.goto("/patients/p-1")
    live(page)
    expect(page.locator("#alerts li")).to_have_count(6)  # of the hours shown
    for _ in range(2):
        page.get_by_role("button", name="Earlier alerts").click()
    expect(page.locator("#alerts li")).to_have_count(130)


def test_what_ended_unseen_is_counted_alike_on_every_page_and_stands_with_its_patient(
    ward: Site, open_page: Open
) -> None:
    for hours in (10, 30):  # what ended more than a day ago awaits nobody
        ended(ward, "low", "p-1", Severity.WARNING, hours * 60)
    ward.add_user("ada", Role.PATIENT, "p-1")
    page = open_page("/patients/p-1", "ada")
    live(page)
    expect(page.locator("#unseen")).to_have_text("1")
    lows = page.locator("#alerts li", has_text="Low glucose")  # the hours shown are six
    expect(lows.get_by_role("button", name="Acknowledge")).to_have_count(1)
    page.goto("/alerts")
    live(page)
    expect(page.locator("#unseen")).to_have_text("1")
    expect(page.locator("#ended li")).to_have_count(1)
    expect(page.locator("#recent li", has_text="Low glucose")).to_have_count(1)


def test_what_ended_unseen_is_together_by_rule_and_is_acknowledged_together(ward: Site, open_page: Open) -> None:
    for minutes in (90, 60, 30):
        ended(ward, "low", "p-1", Severity.WARNING, minutes)
    ended(ward, "urgent_low", "p-2", Severity.URGENT, 50)
    ended(ward, "high", "p-2", Severity.WARNING, 40)
    patients, page = open_page("/", "admin"), open_page("/alerts", "admin")
    live(patients)
    live(page)
    label = patients.locator('tr[data-patient="p-2"] .badge[data-ended]')
    expect(label).to_have_text("Urgent lowEnded +1")
    expect(label).to_have_attribute("title", "Urgent low, High glucose")

    groups = page.locator("#ended li")
    expect(groups.locator("strong")).to_have_text(["Urgent low", "Low glucose", "High glucose"])
    lows = groups.filter(has_text="Low glucose")
    expect(lows).to_contain_text("07:30, lasted 5 min")
    expect(lows).to_contain_text("and 2 earlier, since 06:30")
    lows.get_by_role("button", name="Acknowledge all 3: Low glucose, Ada Example").click()
    expect(groups).to_have_count(2)
    expect(page.locator("#recent li", has_text="Seen by admin")).to_have_count(3)

    page.get_by_role("button", name="Acknowledge all 2").click()
    expect(page.get_by_role("heading", name="Ended, not yet acknowledged")).to_be_hidden()
    expect(label).to_have_count(0)  # on the other page
    expect(page.locator("#active li", has_text="Demonstration rule")).not_to_contain_text("Seen by")


def test_a_browser_subscribes_shows_what_is_pushed_and_its_button_acknowledges(ward: Site, open_page: Open) -> None:
    alert = alarm(ward)
    page = open_page("/account", "nurse", permissions=["notifications"])
    page.add_init_script(SUBSCRIBED)
    page.reload()
    page.get_by_role("button", name="Notify me in this browser").click()
    expect(page.get_by_text("Browser", exact=True)).to_be_visible()
    (contact,) = ward.book.of("nurse")
    assert json.loads(contact.address) == {"endpoint": "https://push.example/1", "keys": {"bytes": 3}}

    token = ward.sent[0].token
    said = {"title": "Urgent low", "text": "Open the portal.", "tag": "t", "token": token, "button": "Seen"}
    notification = pushed(page, said | {"urgent": True, "silent": False})
    assert notification == {"title": "Urgent low", "body": "Open the portal.", "actions": ["Seen"], "stays": True}
    press(page.context, "acknowledge")
    for _ in range(100):
        ward.follow()
        stored = ward.store.alert(alert)
        if stored is not None and stored.acknowledged_us is not None:
            break
        page.wait_for_timeout(50)
    assert stored is not None
    assert stored.acknowledged_by == "anna", "the token is hers"


SHOWN = """async () => {
  const registration = await navigator.serviceWorker.ready;
  for (let tries = 0; tries < 60; tries += 1) {
    const [one] = await registration.getNotifications();
    if (one) return { title: one.title, body: one.body, actions: one.actions.map((a) => a.title),
                      stays: one.requireInteraction };
    await new Promise((later) => setTimeout(later, 50));
  }
  return null;
}"""
"""The notification that is there within three seconds, or null."""


def pushed(page: Page, said: dict[str, object]) -> object:
    """What the browser shows of a push."""
    session = page.context.new_cdp_session(page)
    registrations: list[str] = []
    session.on(
        "ServiceWorker.workerRegistrationUpdated",
        lambda event: registrations.extend(one["registrationId"] for one in event["registrations"]),
    )
    session.send("ServiceWorker.enable")
    page.wait_for_function("async () => (await navigator.serviceWorker.ready).active.state === 'activated'")
    origin = page.evaluate("location.origin")
    push = {"origin": origin, "registrationId": registrations[0], "data": json.dumps(said)}
    for _ in range(10):  # a browser that is busy may drop one; the next has the same tag
        session.send("ServiceWorker.deliverPushMessage", push)
        shown: object = page.evaluate(SHOWN)
        if shown is not None:
            return shown
    raise AssertionError("no notification was shown")


def press(context: BrowserContext, action: str) -> None:
    """A press on the notification's button, as the browser tells the worker of it."""
    (worker,) = context.service_workers
    worker.evaluate(
        """async (action) => {
          const [notification] = await self.registration.getNotifications();
          self.dispatchEvent(new NotificationEvent("notificationclick", { notification, action }));
        }""",
        action,
    )


def test_an_alert_of_somebody_new_stays_while_the_store_is_behind(ward: Site, open_page: Open) -> None:
    page = open_page("/alerts", "admin")
    live(page)
    ward.add_patient("p-9", "Dora Example")
    now_us = ward.now_us
    low = AlertChange(
        change="opened", rule="urgent_low", patient="p-9", onset_us=now_us, at_us=now_us, severity=Severity.URGENT
    )
    row = DocumentRow("p-9", "", now_us, "opened", encode_change(low).decode())
    with page.expect_response("**/api/alerts"):  # the page asks who that is, and the store does not know of it yet
        ward.commit.commit(appends=[Append(topic=Topic.ALERTS, batch=documents_batch([row]))])
    ward.follow()
    expect(page.locator("#active li", has_text="Urgent low")).to_contain_text("Dora Example")


def test_what_a_file_of_1961_brought_is_dated_with_its_year_and_awaits_nobody(ward: Site, open_page: Open) -> None:
    """On the same day of the year, when a time alone would be that of today."""
    then = datetime(1961, 3, 2, 7, 0, tzinfo=UTC)
    ward.add_patient("p-3", "Cleo Example")
    ward.add_readings("p-3", [120.0, 50.0, 110.0], end_us=to_us(then))
    low = AlertChange(
        change="opened",
        rule="urgent_low",
        patient="p-3",
        onset_us=to_us(then) - 5 * MINUTE_US,
        at_us=to_us(then) - 5 * MINUTE_US,
        severity=Severity.URGENT,
        retrospective=True,
    )
    page = open_page("/alerts", "admin")
    live(page)
    for change in (low, structs.replace(low, change="cleared", at_us=to_us(then))):
        ward.add_change(change)
    for _ in ("live", "loaded"):
        item = page.locator("#recent li", has_text="Urgent low")
        expect(item).to_contain_text("Mar 2, 1961, 06:55, lasted 5 min")
        expect(item).to_contain_text("Found later, in history")
        expect(page.locator("#active li", has_text="Urgent low")).to_have_count(0)
        expect(page.locator("#unseen")).to_be_hidden()
        page.reload()
    page = open_page("/patients/p-3", "admin")
    expect(page.locator("#chart-summary")).to_have_text(
        "No readings in the last 6 hours. The newest is of Mar 2, 1961, 07:00."
    )
