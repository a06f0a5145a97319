// The alerts a page knows: folded from changes as the server does it, in the order of their urgency, and as small labels.

import { element, ruleTitle, svg, text } from "./page.js";

const CLOSED_KEPT = 1000; // of a page that is left open for weeks
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
    this.openOf = null; // by patient, until something changes
  }

  /** Take in a document of the `alerts` topic; the alert it changed, or null. */
  apply({ received_at_us, body: change }) {
    const id = `${change.rule}~${change.patient}~${change.onset_us}`;
    const alert = this.alerts.get(id);
    this.openOf = null;
    if (change.change === "opened") return this.#open(id, alert, change, received_at_us);
    if (!alert) return null;
    if (change.change === "cleared") alert.cleared_us = change.at_us;
    if (change.change === "retracted") this.#retract(alert, change);
    if (change.change === "acknowledged" && (!isSeen(alert) || alert.told === false)) {
      Object.assign(alert, { acknowledged_us: change.at_us, acknowledged_by: change.by, told: true });
    }
    return alert;
  }

  /** Active ones and those that nobody has seen, most urgent first. */
  open(patient = null) {
    if (patient === null) return [...this.alerts.values()].filter(isOpen).sort(byUrgency);
    this.openOf ??= Map.groupBy(this.open(), (alert) => alert.patient);
    return this.openOf.get(patient) ?? [];
  }

  /** Forget those that came first of the ones that await nobody, but for the newest. */
  forget() {
    if (this.alerts.size < 2 * CLOSED_KEPT) return;
    const closed = [...this.alerts.values()].filter((alert) => !isOpen(alert)).sort(byOnset);
    for (const alert of closed.slice(CLOSED_KEPT)) this.alerts.delete(alert.id);
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
    Object.assign(alert, { cleared_us: null, retracted: false, retrospective: history, past: false });
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
/** Whether somebody is called for it. */
export const calls = (alert) => alert.severity === "urgent" || alert.severity === "warning";
/** Whether it ended and somebody should have a look; what was found in history or is long past awaits nobody. */
const isMissed = (alert) => calls(alert) && !alert.retracted && !alert.retrospective && !alert.past && !isSeen(alert);
/** Whether somebody is to see it: it is active, or ended and called for somebody who has not looked. */
export const isOpen = (alert) => isActive(alert) || isMissed(alert);

/** Smaller is more urgent: what is going on now, unseen first; then what ended unseen; each by severity. */
export function urgency(alert) {
  const severity = SEVERITIES.indexOf(alert.severity);
  return severity + (isSeen(alert) ? SEVERITIES.length : 0) + (isActive(alert) ? 0 : 2 * SEVERITIES.length);
}

export const byUrgency = (a, b) => urgency(a) - urgency(b) || a.onset_us - b.onset_us || (a.id < b.id ? -1 : 1);
const byOnset = (a, b) => b.onset_us - a.onset_us || byUrgency(a, b);

export function severityIcon(severity) {
  const path = svg("path", { d: ICONS[severity] ?? ICONS.notice });
  return svg("svg", { viewBox: "0 0 16 16", class: "icon", "aria-hidden": "true" }, path);
}

/** Small labels for the patient list: one for each active alert, and one for all that have ended unseen, the most urgent
 * of which gives it its name. */
export function badges(alerts) {
  const ended = alerts.filter((alert) => !isActive(alert));
  return [...alerts.filter(isActive).map(badge), ...(ended.length ? [endedBadge(ended)] : [])];
}

function badge(alert) {
  const node = element("span", { class: "badge", "data-severity": alert.severity });
  node.append(severityIcon(alert.severity), ruleTitle(alert.rule));
  if (isSeen(alert)) node.dataset.seen = "";
  return node;
}

function endedBadge(ended) {
  const node = badge(ended[0]);
  const more = ended.length > 1 ? ` +${ended.length - 1}` : "";
  node.append(element("small", {}, text("alert.ended") + more));
  node.dataset.ended = "";
  const rules = [...Map.groupBy(ended, (alert) => alert.rule)];
  node.title = rules.map(([rule, some]) => ruleTitle(rule) + (some.length > 1 ? ` ×${some.length}` : "")).join(text("comma"));
  return node;
}

/** The number of unseen alerts that call for someone, beside the link and in the title. */
export function countUnseen(book) {
  const n = book.open().filter((alert) => calls(alert) && !isSeen(alert)).length;
  const count = document.getElementById("unseen");
  count.hidden = n === 0;
  count.textContent = n;
  document.title = document.title.replace(/^(\(\d+\) )?/, n ? `(${n}) ` : "");
}
