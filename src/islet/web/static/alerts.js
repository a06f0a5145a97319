// The page of alerts: what is active or unseen, and what was.

import { data, element, text } from "./page.js";
import { AlertBook, alertItem, announce, countUnseen } from "./alert_book.js";
import { follow, load } from "./live.js";
import { askTroubles } from "./told.js";

const RECENT = 100;
const LOOK_AGAIN_MS = 10_000;
const RESYNC_SOON_MS = 300;
const active = document.getElementById("active");
const recent = document.getElementById("recent");
const timeZone = Intl.DateTimeFormat().resolvedOptions().timeZone;
let { labels } = data.snapshot;
let book = bookOf(data.snapshot);
let soon = null;

function bookOf(snapshot) {
  return new AlertBook([...snapshot.recent, ...snapshot.active]);
}

function render() {
  const open = book.open();
  const shown = new Set(open.map((alert) => alert.id));
  const past = book.all().filter((alert) => !shown.has(alert.id));
  fill(active, open, "alert.none_active");
  fill(recent, past.slice(0, RECENT), "alert.none_recent");
  countUnseen(book);
}

/** Rows are made anew, but the focus stays on the alert that had it. */
function fill(list, alerts, none) {
  const held = list.contains(document.activeElement) ? document.activeElement : null;
  const focused = held?.closest("li")?.dataset.id;
  const items = alerts.map((alert) => alertItem(alert, { label: labels[alert.patient], timeZone, linked: true }));
  list.replaceChildren(...(items.length ? items : [element("li", { class: "none quiet" }, text(none))]));
  const again = focused ? items.find((item) => item.dataset.id === focused) : null;
  (again?.querySelector(held.localName) ?? again?.querySelector("button, a"))?.focus();
}

function onAlerts(documents) {
  for (const document of documents) {
    const alert = book.apply(document);
    if (alert !== null && document.type === "opened") announce(alert, labels[alert.patient] || alert.patient);
    if (alert !== null && !(alert.patient in labels)) resyncSoon();
  }
  render();
}

/** Somebody has an alert who is not known here; once, however many do. */
function resyncSoon() {
  soon ??= setTimeout(resync, RESYNC_SOON_MS);
}

async function resync() {
  soon = null;
  try {
    const snapshot = await load("/api/alerts");
    labels = snapshot.labels;
    book = bookOf(snapshot);
    render();
    goOnFrom(snapshot.positions);
  } catch {
    // the banner tells of a lost connection
  }
}

addEventListener("acknowledged", render);
const busy = () => document.querySelector("li :focus");
setInterval(() => busy() ?? render(), LOOK_AGAIN_MS);
if (data.alarms) {
  askTroubles(render);
  setInterval(() => busy() ?? askTroubles(render), LOOK_AGAIN_MS);
}
render();
const goOnFrom = follow(data.snapshot.positions, { alerts: onAlerts, resync });
