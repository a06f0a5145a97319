"""Who is told, in a real browser: the fold below an alert, a pause, and messages pushed to the browser itself."""

import json

from playwright.sync_api import BrowserContext, Page, expect

from islet.model.alerts import Severity
from islet.model.people import Role
from islet.model.topics import Topic
from islet.notify.recipients import Contact
from tests.web.browser import Open, browser, live, open_page, started, ward
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
