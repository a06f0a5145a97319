// An alert as an item of a list: what it is, who was told, who has seen it, and the button to acknowledge it.

import { data, dayText, dayTimeText, element, now, ruleTitle, spanText, text, unit, user } from "./page.js";
import { shown } from "./glucose.js";
import { isActive, isOpen, isSeen, severityIcon } from "./alert_book.js";
import { toldFold, trouble, troubleOf } from "./told.js";

const AT_ONCE = 4; // a browser has six connections to a server, one of which the stream holds

/** One alert as a list item, with its button where the viewer may acknowledge it, and with it the `earlier` ones of its rule
 * that have ended as it has. */
export function alertItem(alert, { label, timeZone, linked, earlier = [] }) {
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
      earlier.length ? element("p", { class: "quiet" }, earlierText(earlier, timeZone)) : null,
      data.foretelling.includes(alert.rule) ? element("p", { class: "quiet" }, text("forecast.not_for_dosing")) : null,
      data.alarms ? toldFold(alert, timeZone) : null,
    ),
    seenOrButton([alert, ...earlier], name, timeZone),
  );
  return item;
}

/** What an item says, so that one knows whether to make it anew. */
export function itemWords(alert, { label, timeZone, earlier = [] }) {
  const times = [whenText(alert, timeZone), dayText(now(), timeZone)];
  return JSON.stringify([alert, earlier, label, times, troubleOf(alert)]);
}

function valueText(alert) {
  return element("span", { class: "at" }, `${shown(alert.glucose_tenths, unit, data.mg_dl_per_mmol_l)} ${unit}`);
}

function whenText(alert, timeZone) {
  const time = dayTimeText(alert.onset_us, timeZone);
  const end = isActive(alert) ? now() : alert.cleared_us;
  return text(isActive(alert) ? "alert.since" : "alert.lasted", { time, span: spanText(end - alert.onset_us) });
}

function earlierText(earlier, timeZone) {
  const first = Math.min(...earlier.map((alert) => alert.onset_us));
  return text("alert.earlier", { n: earlier.length, time: dayTimeText(first, timeZone) });
}

function seenOrButton([alert, ...earlier], name, timeZone) {
  if (isSeen(alert)) {
    const said = { name: alert.acknowledged_by, time: dayTimeText(alert.acknowledged_us, timeZone) };
    const seen = element("p", { class: "seen" }, text("alert.acknowledged", said));
    if (!isActive(alert) || !data.may_acknowledge || !data.alarms) return seen;
    return element("div", { class: "answer" }, seen, again(alert, name));
  }
  if (alert.retrospective) return element("p", { class: "seen" }, text("alert.history"));
  if (!isOpen(alert)) return "";
  if (!data.may_acknowledge) return element("p", { class: "seen" }, text("alert.not_acknowledged"));
  return element("div", { class: "answer" }, acknowledgeButton([alert, ...earlier], name));
}

/** A button that acknowledges these, a few at a time; `patient` whose they are, for who does not see where it stands. */
export function acknowledgeButton(alerts, patient = null) {
  const said = alerts.length > 1 ? text("alert.acknowledge_all", { n: alerts.length }) : text("alert.acknowledge");
  const title = patient === null ? null : titleText(said, alerts[0], patient);
  const button = element("button", { type: "button", "aria-label": title }, said);
  button.addEventListener("click", () => acknowledge(alerts, button));
  return button;
}

/** An alert that was seen and goes on pages again; this is the answer to that. */
function again(alert, name) {
  const title = titleText(text("alert.again"), alert, name);
  const button = element("button", { type: "button", class: "plain", "aria-label": title }, text("alert.again"));
  button.addEventListener("click", () => acknowledge([alert], button));
  return button;
}

/** What is seen on a button goes first: people who speak to their computer say that. */
function titleText(said, { rule }, patient) {
  return text("alert.acknowledge_title", { said, rule: ruleTitle(rule), patient });
}

async function acknowledge(alerts, button) {
  if (button.ariaDisabled) return;
  button.ariaDisabled = "true"; // disabled, it would lose the focus
  try {
    const left = alerts.values(); // one line, at which a few wait for their turn
    await Promise.all(Array.from({ length: AT_ONCE }, () => acknowledgeEach(left)));
    dispatchEvent(new CustomEvent("acknowledged")); // of the window: the button may have gone with a list made anew
  } catch {
    button.ariaDisabled = null;
    const failed = element("p", { class: "problem", role: "alert" }, text("alert.failed"));
    button.parentElement?.querySelector(".problem")?.remove();
    button.parentElement?.append(failed); // a list made anew meanwhile shows what is left, with buttons of its own
  }
}

async function acknowledgeEach(left) {
  for (const alert of left) await acknowledgeOne(alert);
}

async function acknowledgeOne(alert) {
  const response = await fetch(`/api/alerts/${encodeURIComponent(alert.id)}/acknowledge`, { method: "POST" });
  if (!response.ok) throw new Error(String(response.status));
  const { by } = await response.json(); // for the hand that clicked; the live stream tells who was first
  if (!isSeen(alert)) Object.assign(alert, { acknowledged_us: now(), acknowledged_by: by ?? user, told: false });
}
