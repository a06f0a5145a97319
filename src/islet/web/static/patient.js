// One patient: the present value, the curve, events and alerts, all of them live.

import { data, dayTimeText, element, now, svg, text, timeText, unit } from "./page.js";
import { Points, zone } from "./glucose.js";
import { ageNode, changeText, latest, readingText, trendNode, valueNode } from "./reading.js";
import { askTroubles } from "./told.js";
import { AlertBook, countUnseen, isOpen } from "./alert_book.js";
import { showAlerts } from "./alert_list.js";
import { announce } from "./announced.js";
import { follow, load } from "./live.js";
import { Forecast } from "./forecast.js";
import { PastAlerts } from "./past_alerts.js";
import { Labs } from "./labs.js";
import { OnBoard } from "./on_board.js";
import { careAmount } from "./chart_lanes.js";

const KEPT = 25 * 3600e6;
const LOOK_AGAIN_MS = 5_000;
const STORED_HOURS = "islet.chart_hours";
const ICONS = {
  meal: "M5 2v5a2 2 0 0 0 4 0V2 M7 9v5 M12 2c-1.500 1-2 3-2 6h2v6",
  insulin: "M10 2l4 4 M12 4l-2 2 M8 4l4 4-5 5H4v-3l5-5 M4 13l-2 2",
  exercise: "M9 3.500a1 1 0 1 0 .01 0Z M4 7l4-1 2 2 3 1 M8 6l-1 4 3 2v3 M7 10l-3 4",
  medication: "M5 3h6v3H5Z M4 6h8v8H4Z M6 10h4",
  note: "M3 3h10v10H3Z M5.500 6h5 M5.500 9h5",
};
const { patient, time_zone: timeZone, snapshot } = data;
const points = new Points(snapshot.points);
const forecast = new Forecast(patient.id, () => {
  renderForecast();
  renderChart();
});
const onBoard = new OnBoard(patient.id, () => renderChart());
const labs = new Labs(patient.id, () => {
  const items = labs.items();
  document.getElementById("labs").replaceChildren(...items);
  document.getElementById("labs").hidden = items.length === 0;
});
let book = new AlertBook(snapshot.alerts);
const older = new PastAlerts(document.getElementById("earlier"), {
  patient: patient.id,
  until: () => Math.round(now()),
  changed: () => renderAlerts(),
});
let care = sorted(snapshot.care);
let hours = Number(sessionStorage.getItem(STORED_HOURS)) || 6;
let chart = null;
let summary = () => "";

function sorted(marks) {
  return marks.toSorted((a, b) => a.time_us - b.time_us);
}

const from = () => now() - hours * 3600e6;

function renderNow() {
  const reading = latest(points, patient);
  const box = document.getElementById("now");
  const shownZone = reading.state === "stale" || reading.zone === null ? null : text(`zone.${reading.zone}`);
  box.dataset.zone = reading.zone ?? "";
  box.dataset.age = reading.state;
  box.replaceChildren(
    element("p", { class: "big" }, valueNode(reading), element("span", { class: "unit" }, unit), trendNode(reading)),
    element("p", { class: "about" }, shownZone && element("span", { class: "zone" }, shownZone), changeText(reading)),
    element("p", {}, ageNode(reading)),
  );
}

function renderChart() {
  chart?.update();
  const words = [summary(points, hours, patient, timeZone), ...forecast.words(), ...onBoard.words()].join(" ");
  document.getElementById("chart").setAttribute("aria-label", words);
  say("on-board", onBoard.words());
  document.getElementById("chart-summary").textContent = summary(points, hours, patient, timeZone);
  if (document.getElementById("values").open) renderTable();
}

function renderTable() {
  const rows = [];
  for (let i = points.length - 1; i >= 0 && points.time[i] >= from(); i -= 1) {
    const name = text(`zone.${zone(points.glucose[i], patient)}`);
    const cells = [element("td", { class: "end" }, readingText(points, i)), element("td", {}, name)];
    rows.push(element("tr", {}, element("th", { scope: "row" }, dayTimeText(points.time[i], timeZone)), ...cells));
  }
  document.querySelector("#values tbody").replaceChildren(...rows);
}

function renderAlerts() {
  if (data.only) countUnseen(book);
  const before = older.alerts.filter((alert) => !book.alerts.has(alert.id));
  const since = older.asked ? 0 : from();
  const shown = [...book.all().filter((alert) => isOpen(alert) || alert.onset_us >= since), ...before];
  const given = shown.map((alert) => [alert, { label: patient.label, timeZone, linked: false }]);
  showAlerts(document.getElementById("alerts"), given, "alert.none_recent");
}

function renderEvents() {
  const shown = care.filter((mark) => mark.time_us >= from() && mark.type in ICONS).reverse();
  document.getElementById("events").replaceChildren(...shown.map(eventItem));
  document.getElementById("no-events").hidden = shown.length > 0;
}

function eventItem(mark) {
  const icon = svg("svg", { viewBox: "0 0 16 16", class: "icon", "aria-hidden": "true" });
  icon.append(svg("path", { d: ICONS[mark.type] }));
  const { body } = mark;
  const details = [body.text, body.name, mark.type === "exercise" ? body.kind : ""].filter(Boolean).join(text("comma"));
  return element(
    "li",
    { "data-type": mark.type },
    icon,
    element("time", { datetime: new Date(mark.time_us / 1000).toISOString() }, dayTimeText(mark.time_us, timeZone)),
    element("span", {}, element("strong", {}, text(`event.${mark.type}`)), ` ${careAmount(mark)}`),
    details ? element("span", { class: "quiet" }, details) : null,
  );
}

function renderForecast() {
  say("forecast", forecast.words()).dataset.reason = forecast.reason() ?? "";
}

/** Put sentences into a box, which is gone without any. */
function say(id, words) {
  const box = document.getElementById(id);
  box.hidden = words.length === 0;
  if (box.textContent !== words.join("")) box.replaceChildren(...words.map((one) => element("span", {}, one)));
  return box;
}

function render() {
  renderForecast();
  renderNow();
  renderChart();
  renderAlerts();
  renderEvents();
}

function choose(wanted) {
  hours = wanted;
  sessionStorage.setItem(STORED_HOURS, wanted);
  for (const button of document.querySelectorAll(".hours button")) {
    button.setAttribute("aria-pressed", String(Number(button.dataset.hours) === wanted));
  }
  chart?.show(wanted);
  render();
}

function readout(index) {
  const output = document.getElementById("readout");
  if (index === null || index >= points.length) {
    output.textContent = "";
    return;
  }
  const said = { value: readingText(points, index), unit, zone: text(`zone.${zone(points.glucose[index], patient)}`) };
  output.textContent = text("chart.readout", { time: timeText(points.time[index], timeZone), ...said });
}

function onReadings(readings) {
  for (const point of readings[patient.id] ?? []) points.add(...point);
  points.forgetBefore(now() - KEPT);
  forecast.ask(points.last?.time);
  renderNow();
  renderChart();
}

function onAlerts(documents) {
  for (const document of documents) {
    const alert = book.apply(document);
    if (alert !== null && document.type === "opened") announce(alert, patient.label || patient.id);
  }
  if (!older.asked) book.forget();
  renderAlerts();
  renderChart();
}

function onCare(documents, resyncLater) {
  const known = new Set(care.map(({ body }) => body.id));
  if (documents.some(({ type, body }) => type === "withdrawal" || body.id?.startsWith("=") || (body.id && known.has(body.id)))) {
    resyncLater(); // what was there is another now, or none, once the store has taken that in
    return;
  }
  care = sorted([...care, ...documents]);
  onBoard.heard(documents);
  labs.heard(documents);
  renderEvents();
  renderChart();
}

async function resync() {
  try {
    const fresh = await load(`/api/patients/${encodeURIComponent(patient.id)}/series?hours=24`);
    points.merge(new Points(fresh.points));
    book = new AlertBook(fresh.alerts);
    care = sorted(fresh.care);
    forecast.ask(points.last?.time);
    onBoard.ask();
    labs.ask();
    render();
    goOnFrom(fresh.positions);
  } catch {
    // the banner tells of a lost connection
  }
}

/** The chart is a module of its own, so that the value and the alerts are there even if it cannot be loaded. */
async function loadChart() {
  try {
    const module = await import("./chart.js");
    ({ summary } = module);
    const source = () => ({ points, alerts: book.all(), care, forecast: forecast.current(), onBoard: onBoard.current() });
    chart = new module.Chart(document.getElementById("chart"), { patient, timeZone, source, readout });
  } catch {
    summary = () => text("chart.missing");
  }
  choose(hours);
}

document.getElementById("zone").textContent = text("chart.zone", { zone: timeZone });
document.getElementById("values").addEventListener("toggle", (event) => event.target.open && renderTable());
document.querySelector(".hours").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) choose(Number(button.dataset.hours));
});
addEventListener("acknowledged", () => renderAlerts());
setInterval(() => {
  onBoard.keepFresh();
  renderNow();
  renderForecast();
  renderChart();
  renderAlerts();
  if (data.alarms) askTroubles(renderAlerts);
}, LOOK_AGAIN_MS);
if (data.alarms) askTroubles(renderAlerts);
forecast.ask(points.last?.time);
onBoard.ask();
labs.ask();
await loadChart();
const goOnFrom = follow(
  snapshot.positions,
  { readings: onReadings, alerts: onAlerts, care_events: onCare, resync },
  patient.id,
);
