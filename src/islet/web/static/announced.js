// What a screen reader says of new alerts. One that comes while another is read out would cut it short: what comes together
// or soon after is said as one, by its most urgent.

import { ruleTitle, text } from "./page.js";
import { byUrgency, calls, isActive, isSeen } from "./alert_book.js";

const TOGETHER_MS = 100;
const PAUSE_MS = 5_000;
let waiting = new Map();
let next = null;

/** Tell of a new alert that calls for someone. */
export function announce(alert, label) {
  if (!calls(alert) || !isActive(alert) || alert.retrospective) return;
  waiting.set(alert, label);
  next ??= setTimeout(say, TOGETHER_MS);
}

function say() {
  const open = [...waiting.keys()].filter((alert) => isActive(alert) && !isSeen(alert)).sort(byUrgency);
  next = open.length ? setTimeout(say, PAUSE_MS) : null;
  if (open.length) {
    const [{ severity, rule }] = open;
    const said = { severity: text(`severity.${severity}`), rule: ruleTitle(rule), patient: waiting.get(open[0]) };
    const others = open.length > 1 ? ` ${text("alert.more", { n: open.length - 1 })}` : "";
    document.getElementById("announcement").textContent = text("alert.new", said) + others;
  }
  waiting = new Map();
}
