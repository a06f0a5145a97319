// The page of alerts: what is active, what has ended unseen, and what was.

import { data, eachFrame, text } from "./page.js";
import { AlertBook, countUnseen, isActive } from "./alert_book.js";
import { acknowledgeButton } from "./alert_item.js";
import { showAlerts } from "./alert_list.js";
import { announce } from "./announced.js";
import { follow, load } from "./live.js";
import { PastAlerts } from "./past_alerts.js";
import { askTroubles } from "./told.js";

const RECENT = 100;
const LOOK_AGAIN_MS = 10_000;
const RESYNC_SOON_MS = 300;
const active = document.getElementById("active");
const ended = document.getElementById("ended");
const recent = document.getElementById("recent");
const everything = document.getElementById("everything");
const timeZone = Intl.DateTimeFormat().resolvedOptions().timeZone;
let { labels } = data.snapshot;
let book = bookOf(data.snapshot);
let soon = null;
const reached = data.snapshot.recent.at(-1)?.onset_us ?? data.snapshot.now_us;
const schedule = eachFrame(render);
const older = new PastAlerts(document.getElementById("earlier"), { until: () => reached, changed: render });

/** What has long ended awaits nobody any more: the server says what does. */
function bookOf(snapshot) {
  const awaiting = new Set(snapshot.active.map(({ id }) => id));
  const past = snapshot.recent.filter(({ id }) => !awaiting.has(id)).map((alert) => ({ ...alert, past: true }));
  return new AlertBook([...past, ...snapshot.active]);
}

function render() {
  const open = book.open();
  const unseen = open.filter((alert) => !isActive(alert));
  const shown = new Set(open.map((alert) => alert.id));
  const past = book.all().filter((alert) => !shown.has(alert.id));
  const before = older.alerts.filter((alert) => !book.alerts.has(alert.id));
  fill(active, open.filter(isActive).map((alert) => [alert]), "alert.none_active");
  fill(ended, byRule(unseen));
  fill(recent, [...(older.asked ? past : past.slice(0, RECENT)), ...before].map((alert) => [alert]), "alert.none_recent");
  ended.closest("section").hidden = unseen.length === 0;
  fillEverything(unseen);
  countUnseen(book);
}

/** Those of a patient and a rule together, the newest first; in the order of the most urgent of each. */
function byRule(alerts) {
  const groups = Map.groupBy(alerts, (alert) => `${alert.patient}~${alert.rule}`);
  return [...groups.values()].map((some) => some.toSorted((a, b) => b.onset_us - a.onset_us));
}

/** One answer to all that have ended, below them: who gives it has come past them. */
function fillEverything(unseen) {
  const wanted = data.may_acknowledge && unseen.length > 1;
  if (wanted && everything.querySelector("button:focus:not([aria-disabled])")) return; // it does what it says
  everything.replaceChildren(...(wanted ? [acknowledgeButton(unseen)] : []));
}

/** Of a group only the first is shown. */
function fill(list, groups, none) {
  const label = (alert) => labels[alert.patient] ?? older.labels[alert.patient];
  const given = groups.map(([alert, ...earlier]) => [alert, { label: label(alert), timeZone, linked: true, earlier }]);
  showAlerts(list, given, none);
}

function onAlerts(documents) {
  for (const document of documents) {
    const alert = book.apply(document);
    if (alert !== null && document.type === "opened") announce(alert, labels[alert.patient] || alert.patient);
    if (alert !== null && !(alert.patient in labels)) resyncSoon();
  }
  if (!older.asked) book.forget();
  schedule();
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

document.getElementById("zone").textContent = text("chart.zone", { zone: timeZone });
addEventListener("acknowledged", render);
const busy = () => document.querySelector("li :focus");
setInterval(() => busy() ?? render(), LOOK_AGAIN_MS);
if (data.alarms) {
  askTroubles(render);
  setInterval(() => busy() ?? askTroubles(render), LOOK_AGAIN_MS);
}
render();
const goOnFrom = follow(data.snapshot.positions, { alerts: onAlerts, resync });
