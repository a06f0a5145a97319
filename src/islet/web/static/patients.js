// The live list of patients, the most urgent first. A row never moves while it has the focus or the pointer.

import { agoText, data, eachFrame, element, now, text } from "./page.js";
import { Points, outside } from "./glucose.js";
import { ageNode, changeText, latest, spark, trendNode, valueNode } from "./reading.js";
import { AlertBook, badges, countUnseen, isActive, isSeen, urgency } from "./alert_book.js";
import { announce } from "./announced.js";
import { arrange } from "./in_place.js";
import { follow, load } from "./live.js";

const KEPT = 3.25 * 3600e6;
const LOOK_AGAIN_MS = 5_000; // ages grow without anything coming in
const RESYNC_LEAST_MS = 1_000; // the store follows the log at a short distance
const RESYNC_MOST_MS = 15_000; // a device whose patient is not registered must not make the page ask all the time
const NO_ALERT = 100;
const body = document.getElementById("rows");
const rows = new Map();
let book = new AlertBook(data.snapshot.alerts);
let { total } = data.snapshot;
const someOnly = data.sought !== ""; // others come in with the stream, but do not belong on this list
const schedule = eachFrame(render);
let refetching = false;
let missing = false; // somebody who was not in the last snapshot
let resyncIn = RESYNC_LEAST_MS;

class Row {
  constructor(patient) {
    this.patient = patient;
    this.points = new Points(patient.points);
    this.stale = true;
    this.shown = {};
    const name = element("a", { href: `/patients/${encodeURIComponent(patient.id)}` }, patient.label || patient.id);
    const id = patient.label ? element("small", { class: "quiet" }, patient.id) : null;
    this.cells = Object.fromEntries(
      ["value", "arrow", "change", "measured", "course", "badges"].map((name) => [
        name,
        element("td", { role: "cell", class: name }),
      ]),
    );
    const head = element("th", { role: "rowheader", scope: "row", class: "who" }, name, id);
    this.node = element("tr", { role: "row", "data-patient": patient.id }, head, ...Object.values(this.cells));
  }

  /** Show the present state and find this row's place. */
  show() {
    const reading = latest(this.points, this.patient);
    const alerts = book.open(this.patient.id);
    this.place = this.#place(reading, alerts);
    if (this.#isNew("reading", [reading, this.points.length, reading.last && agoText(now() - reading.last.time)])) {
      this.#showReading(reading);
    }
    if (this.#isNew("alerts", alerts)) {
      this.node.dataset.alarm = alerts.find((alert) => isActive(alert) && !isSeen(alert))?.severity ?? "";
      this.cells.badges.replaceChildren(...badges(alerts));
    }
  }

  #showReading(reading) {
    this.node.dataset.zone = reading.zone ?? "";
    this.node.dataset.age = reading.state;
    this.cells.value.replaceChildren(...[valueNode(reading), zoneLabel(reading)].filter(Boolean));
    this.cells.arrow.replaceChildren(trendNode(reading));
    this.cells.change.textContent = changeText(reading);
    this.cells.measured.replaceChildren(ageNode(reading));
    this.cells.course.replaceChildren(spark(this.points, this.patient));
  }

  /** Whether that part is another one than is shown: hundreds of rows are looked at every few seconds, also on phones. */
  #isNew(part, what) {
    const words = JSON.stringify(what);
    const same = this.shown[part] === words;
    this.shown[part] = words;
    return !same;
  }

  #place(reading, alerts) {
    const alarm = alerts.length ? urgency(alerts[0]) : NO_ALERT;
    const old = reading.state === "stale" ? 1 : reading.state === "none" ? 2 : 0;
    const far = reading.last === null ? 0 : outside(reading.last.glucose, this.patient);
    const steps = old ? 0 : Math.ceil(far / 10); // in steps of 10 mg/dL, so that neighbours do not change places all the time
    return [alarm, old, -steps];
  }
}

function zoneLabel({ zone, state }) {
  return state === "stale" || zone === null ? null : element("span", { class: "zone" }, text(`zone.${zone}`));
}

function compare(a, b) {
  for (let i = 0; i < a.place.length; i += 1) {
    if (a.place[i] !== b.place[i]) return a.place[i] - b.place[i];
  }
  return (a.patient.label || a.patient.id).localeCompare(b.patient.label || b.patient.id, "en", { numeric: true });
}

function render() {
  for (const row of rows.values()) {
    if (!row.stale) continue;
    row.show();
    row.stale = false;
  }
  arrange(body, [...rows.values()].sort(compare).map((row) => row.node));
  summarise();
}

function summarise() {
  const here = (alert) => isActive(alert) && (!someOnly || rows.has(alert.patient));
  const alarmed = new Set(book.open().filter(here).map((alert) => alert.patient)).size;
  const all = text("list.summary", { n: total, alerts: alarmed });
  const some = rows.size < total ? ` · ${text("list.shown", { n: rows.size, total })}` : "";
  document.getElementById("summary").textContent = all + some;
  countUnseen(book);
}

function touch(id) {
  const row = rows.get(id);
  if (row) row.stale = true;
  else if (!someOnly && isToBeShown(id)) resync();
  schedule();
}

/** Whether somebody is new, or was not urgent enough to be on this list and is now. */
function isToBeShown(id) {
  const [alert] = book.open(id);
  const least = Math.max(...[...rows.values()].map((row) => row.place?.[0] ?? 0));
  return rows.size === total || (alert !== undefined && urgency(alert) < least);
}

function onReadings(readings) {
  for (const [id, points] of Object.entries(readings)) {
    const row = rows.get(id);
    if (row) {
      for (const point of points) row.points.add(...point);
      row.points.forgetBefore(now() - KEPT);
      row.stale = true;
    } else if (!someOnly && rows.size === total) {
      resync();
    }
  }
  schedule();
}

function onAlerts(documents) {
  for (const document of documents) {
    const alert = book.apply(document);
    if (alert === null) continue;
    touch(alert.patient);
    const patient = rows.get(alert.patient)?.patient;
    if (document.type === "opened") announce(alert, patient?.label || alert.patient);
  }
  book.forget();
}

/** Take a new snapshot; while one is asked for, and for a pause after it, that is put off. */
async function resync() {
  missing = true;
  if (refetching) return;
  refetching = true;
  missing = false;
  try {
    const snapshot = await load(`/api/patients${data.sought}`);
    if (body) {
      take(snapshot);
      goOnFrom(snapshot.positions);
    } else if (snapshot.total) location.reload(); // the first patient has come
  } catch {
    missing = true; // the banner tells of a lost connection
  }
  setTimeout(resyncAgain, resyncIn);
  resyncIn = Math.min(2 * resyncIn, RESYNC_MOST_MS);
}

function resyncAgain() {
  refetching = false;
  if (missing) resync();
  else resyncIn = RESYNC_LEAST_MS;
}

function take(snapshot) {
  total = snapshot.total;
  const ids = new Set(snapshot.patients.map((patient) => patient.id));
  for (const [id, row] of rows) {
    if (ids.has(id)) continue;
    row.node.remove();
    rows.delete(id);
  }
  for (const patient of snapshot.patients) {
    const known = rows.get(patient.id)?.points;
    const row = rows.get(patient.id) ?? new Row(patient);
    if (known) known.merge(new Points(patient.points));
    row.stale = true;
    rows.set(patient.id, row);
  }
  book = new AlertBook(snapshot.alerts);
  schedule();
}

const group = document.getElementById("group");
let byKey = false; // each arrow key chooses another group; who uses those presses the button
group?.addEventListener("keydown", () => (byKey = true));
group?.addEventListener("pointerdown", () => (byKey = false));
group?.addEventListener("change", () => byKey || group.form.requestSubmit());
if (body) {
  body.addEventListener("pointerleave", schedule);
  body.addEventListener("focusout", schedule);
  take(data.snapshot);
  render();
  setInterval(() => {
    for (const row of rows.values()) row.stale = true;
    schedule();
  }, LOOK_AGAIN_MS);
}
const goOnFrom = follow(data.snapshot.positions, {
  readings: body ? onReadings : resync,
  alerts: body ? onAlerts : resync,
  resync,
});
