// The alerts a page knows: folded from changes as the server does it, shown, and acknowledged.

import { data, dayTimeText, element, now, ruleTitle, spanText, svg, text, unit, user } from "./page.js";
import { shown } from "./glucose.js";
import { toldFold, trouble } from "./told.js";

const SEVERITIES = ["urgent", "warning", "notice", "technical"];
const ICONS = {
  urgent: "M8 1.500 15 14H1Z M8 6v4 M8 12v.1",
  warning: "M8 1.500 15 14H1Z M8 6v4 M8 12v.1",
  notice: "M8 1.500a6.500 6.500 0 1 0 .01 0Z M8 7v4.500 M8 4.500v.1",
  technical: "M2 13V10 M6 13V7.500 M10 13V5 M2 2l12 12",
};

export class AlertBook {
  constructor(alerts) {
    this.alerts = new Map(alerts.map((alert) => [alert.id, { ...alert }]));
  }

  /** Take in a document of the `alerts` topic; the alert it changed, or null. */
  apply({ received_at_us, body: change }) {
    const id = `${change.rule}~${change.patient}~${change.onset_us}`;
    const alert = this.alerts.get(id);
    if (change.change === "opened") return this.#open(id, alert, change, received_at_us);
    if (!alert) return null;
    if (change.change === "cleared") alert.cleared_us = change.at_us;
    if (change.change === "retracted") this.#retract(alert, change);
    if (change.change === "acknowledged" && !alert.acknowledged_us) {
      Object.assign(alert, { acknowledged_us: change.at_us, acknowledged_by: change.by });
    }
    return alert;
  }

  merge(alerts) {
    for (const alert of alerts) this.alerts.set(alert.id, { ...alert });
  }

  /** Active ones and those that nobody has seen, most urgent first. */
  open(patient = null) {
    const wanted = (alert) => (patient === null || alert.patient === patient) && isOpen(alert);
    return [...this.alerts.values()].filter(wanted).sort(byUrgency);
  }

  /** Newest first, of one onset the most urgent first. */
  all() {
    return [...this.alerts.values()].filter((alert) => !alert.retracted).sort(byOnset);
  }

  #open(id, known, change, received_at_us) {
    const alert = known ?? {
      id,
      severity: "notice",
      glucose_tenths: null,
      opened_received_us: received_at_us,
      acknowledged_us: null,
      acknowledged_by: "",
      ...change,
    };
    const history = Boolean(change.retrospective) && (known?.retrospective ?? true);
    Object.assign(alert, { cleared_us: null, retracted: false, retrospective: history });
    for (const other of this.alerts.values()) if (other.replaced_by === id) inherit(alert, other);
    this.alerts.set(id, alert);
    return alert;
  }

  #retract(alert, change) {
    Object.assign(alert, { retracted: true, replaced_by: change.replaced_by ?? "" });
    const heir = this.alerts.get(alert.replaced_by);
    if (heir) inherit(heir, alert);
  }
}

function inherit(heir, alert) {
  if (heir.acknowledged_us || !alert.acknowledged_us) return;
  heir.acknowledged_us = alert.acknowledged_us;
  heir.acknowledged_by = alert.acknowledged_by;
}

export const isActive = (alert) => alert.cleared_us === null && !alert.retracted;
export const isSeen = (alert) => Boolean(alert.acknowledged_us);
const calls = (alert) => alert.severity === "urgent" || alert.severity === "warning";
/** Whether it ended and somebody should have a look; what was found in history awaits nobody. */
const isMissed = (alert) => calls(alert) && !alert.retracted && !alert.retrospective && !isSeen(alert);
const isOpen = (alert) => isActive(alert) || isMissed(alert);

/** Smaller is more urgent: what is going on now, unseen first; then what ended unseen; each by severity. */
export function urgency(alert) {
  const severity = SEVERITIES.indexOf(alert.severity);
  return severity + (isSeen(alert) ? SEVERITIES.length : 0) + (isActive(alert) ? 0 : 2 * SEVERITIES.length);
}

const byUrgency = (a, b) => urgency(a) - urgency(b) || a.onset_us - b.onset_us || (a.id < b.id ? -1 : 1);
const byOnset = (a, b) => b.onset_us - a.onset_us || byUrgency(a, b);

export function severityIcon(severity) {
  const path = svg("path", { d: ICONS[severity] ?? ICONS.notice });
  return svg("svg", { viewBox: "0 0 16 16", class: "icon", "aria-hidden": "true" }, path);
}

/** Small labels for the patient list: one for each active alert, one for all of a rule that have ended unseen. */
export function badges(alerts) {
  const ended = Map.groupBy(alerts.filter((alert) => !isActive(alert)), (alert) => alert.rule);
  return [...alerts.filter(isActive).map((alert) => badge(alert)), ...[...ended.values()].map((some) => badge(some[0], some.length))];
}

function badge(alert, times = 1) {
  const state = isActive(alert) ? null : text("alert.ended") + (times > 1 ? ` ×${times}` : "");
  const title = ruleTitle(alert.rule);
  const node = element("span", { class: "badge", "data-severity": alert.severity });
  node.append(severityIcon(alert.severity), title, ...(state ? [element("small", {}, state)] : []));
  if (!isActive(alert)) node.dataset.ended = "";
  if (isSeen(alert)) node.dataset.seen = "";
  return node;
}

/** One alert as a list item, with its button where the viewer may acknowledge it. */
export function alertItem(alert, { label, timeZone, linked }) {
  const name = label || alert.patient;
  const heading = element("strong", {}, ruleTitle(alert.rule));
  const value = alert.severity === "technical" || !alert.glucose_tenths ? null : valueText(alert);
  const patient = linked ? element("a", { href: `/patients/${encodeURIComponent(alert.patient)}` }, name) : null;
  const item = element("li", { class: "alert", "data-severity": alert.severity, "data-id": alert.id });
  if (!isActive(alert)) item.dataset.ended = "";
  const state = element("span", { class: "state" }, text(isActive(alert) ? "alert.active" : "alert.ended"));
  item.append(
    severityIcon(alert.severity),
    element(
      "div",
      { class: "what" },
      element("p", { class: "line" }, heading, patient, value, state, trouble(alert)),
      element("p", { class: "quiet" }, whenText(alert, timeZone)),
      data.foretelling.includes(alert.rule) ? element("p", { class: "quiet" }, text("forecast.not_for_dosing")) : null,
      data.alarms ? toldFold(alert, timeZone) : null,
    ),
    seenOrButton(alert, name, timeZone),
  );
  return item;
}

/** Tell a screen reader of a new alert that calls for someone. */
export function announce(alert, label) {
  if (!calls(alert) || !isActive(alert) || alert.retrospective) return;
  const said = { severity: text(`severity.${alert.severity}`), rule: ruleTitle(alert.rule), patient: label };
  document.getElementById("announcement").textContent = text("alert.new", said);
}

/** The number of unseen alerts that call for someone, beside the link and in the title. */
export function countUnseen(book) {
  const n = book.open().filter((alert) => calls(alert) && !isSeen(alert)).length;
  const count = document.getElementById("unseen");
  count.hidden = n === 0;
  count.textContent = n;
  document.title = document.title.replace(/^(\(\d+\) )?/, n ? `(${n}) ` : "");
}

function valueText(alert) {
  return element("span", { class: "at" }, `${shown(alert.glucose_tenths, unit, data.mg_dl_per_mmol_l)} ${unit}`);
}

function whenText(alert, timeZone) {
  const time = dayTimeText(alert.onset_us, timeZone);
  const end = isActive(alert) ? now() : alert.cleared_us;
  return text(isActive(alert) ? "alert.since" : "alert.lasted", { time, span: spanText(end - alert.onset_us) });
}

function seenOrButton(alert, name, timeZone) {
  if (isSeen(alert)) {
    const said = { name: alert.acknowledged_by, time: dayTimeText(alert.acknowledged_us, timeZone) };
    const seen = element("p", { class: "seen" }, text("alert.acknowledged", said));
    if (!isActive(alert) || !data.may_acknowledge || !data.alarms) return seen;
    return element("div", { class: "answer" }, seen, again(alert, name));
  }
  if (alert.retrospective) return element("p", { class: "seen" }, text("alert.history"));
  if (!data.may_acknowledge) return element("p", { class: "seen" }, text("alert.not_acknowledged"));
  const title = text("alert.acknowledge_title", { rule: ruleTitle(alert.rule), patient: name });
  const button = element("button", { type: "button", "aria-label": title }, text("alert.acknowledge"));
  button.addEventListener("click", () => acknowledge(alert, button));
  return element("div", { class: "answer" }, button);
}

/** An alert that was seen and goes on pages again; this is the answer to that. */
function again(alert, name) {
  const title = text("alert.acknowledge_title", { rule: ruleTitle(alert.rule), patient: name });
  const button = element("button", { type: "button", class: "plain", "aria-label": title }, text("alert.again"));
  button.addEventListener("click", () => acknowledge(alert, button));
  return button;
}

async function acknowledge(alert, button) {
  button.disabled = true;
  try {
    const response = await fetch(`/api/alerts/${encodeURIComponent(alert.id)}/acknowledge`, { method: "POST" });
    if (!response.ok) throw new Error(String(response.status));
    const { by } = await response.json(); // the live stream brings the same; this one is for the hand that clicked
    Object.assign(alert, { acknowledged_us: alert.acknowledged_us ?? now(), acknowledged_by: by ?? user });
    button.dispatchEvent(new CustomEvent("acknowledged", { bubbles: true }));
  } catch {
    button.disabled = false;
    const failed = element("p", { class: "problem", role: "alert" }, text("alert.failed"));
    button.parentElement.querySelector(".problem")?.remove();
    button.parentElement.append(failed);
  }
}
