// Who was told of an alert and what became of it; and the snooze. Opened below an alert, asked for when it is opened.

import { dayTimeText, element, text, timeText } from "./page.js";

const opened = new Set(); // lists are made anew all the time
const SPANS_MIN = [15, 30, 60, 120];

/** A fold below an alert; `timeZone` is the one the page shows. */
export function toldFold(alert, timeZone) {
  const body = element("div", { class: "told" });
  const fold = element("details", { class: "more" }, element("summary", {}, text("told.title")), body);
  fold.addEventListener("toggle", () => {
    if (fold.open) fill(body, alert, timeZone);
    if (fold.open) opened.add(alert.id);
    else opened.delete(alert.id);
  });
  fold.open = opened.has(alert.id);
  return fold;
}

async function fill(body, alert, timeZone) {
  try {
    const response = await fetch(`/api/alerts/${encodeURIComponent(alert.id)}/deliveries`);
    if (!response.ok) throw new Error(String(response.status));
    show(body, alert, timeZone, await response.json());
  } catch {
    body.replaceChildren(element("p", { class: "problem", role: "alert" }, text("alert.failed")));
  }
}

function show(body, alert, timeZone, { told, snoozed_until_us, snooze_most_min }) {
  const items = told.map((one) => line(one, timeZone));
  const nobody = element("li", { class: "quiet" }, text("told.nobody"));
  body.replaceChildren(element("ul", {}, ...(items.length ? items : [nobody])));
  if (snoozed_until_us) {
    const until = timeText(snoozed_until_us, timeZone);
    body.append(element("p", { role: "status", tabindex: -1 }, text("told.snoozed", { time: until })));
  } else if (snooze_most_min > 0) {
    body.append(snoozeButtons(body, alert, timeZone, snooze_most_min));
  }
}

function line(one, timeZone) {
  const who = one.channel ? `${one.recipient} (${text(`channel.${one.channel}`)})` : text("told.no_one");
  const time = dayTimeText(one.at_us ?? one.queued_us, timeZone);
  const said = text("told.line", { who, kind: text(`kind.${one.kind}`), state: text(`state.${one.state}`), time });
  const reason = one.reason ? element("span", { class: "quiet", lang: "en" }, ` ${one.reason}`) : null;
  return element("li", { "data-state": one.state }, said, reason);
}

function snoozeButtons(body, alert, timeZone, most) {
  const group = element("p", { class: "snooze", role: "group", "aria-label": text("told.snooze") }, text("told.snooze"));
  for (const minutes of SPANS_MIN.filter((span) => span <= most)) {
    const button = element("button", { type: "button", class: "plain" }, text("span.minutes", { n: minutes }));
    button.addEventListener("click", () => snooze(body, alert, timeZone, minutes, group));
    group.append(button);
  }
  return group;
}

async function snooze(body, alert, timeZone, minutes, group) {
  const options = { method: "POST", body: JSON.stringify({ minutes }), headers: { "content-type": "application/json" } };
  const response = await fetch(`/api/alerts/${encodeURIComponent(alert.id)}/snooze`, options).catch(() => null);
  if (response?.ok) {
    await fill(body, alert, timeZone);
    body.querySelector("[role=status]")?.focus(); // the button that had it is gone
  } else group.append(element("span", { class: "problem", role: "alert" }, text("alert.failed")));
}

let known = {};

/** What is wrong with an alert's messages, as a key of `trouble.…`: nobody answered, or one did not arrive. */
export const troubleOf = (alert) => known[alert.id];

/** The same in words; null where nothing is wrong. */
export function trouble(alert) {
  const what = troubleOf(alert);
  return what ? element("span", { class: "trouble" }, text(`trouble.${what}`)) : null;
}

/** Ask again what is wrong; calls `changed` when that is something else than before. */
export async function askTroubles(changed) {
  try {
    const response = await fetch("/api/troubles");
    const now = response.ok ? await response.json() : {};
    const same = JSON.stringify(now) === JSON.stringify(known);
    known = now;
    if (!same) changed();
  } catch {
    // the banner tells of a lost connection
  }
}
