// A list of alerts that changes while it is being used: an item that says what it said before is the same one, so that a press
// on it counts, and one that is in use keeps its place.

import { element, text } from "./page.js";
import { alertItem, itemWords } from "./alert_item.js";
import { arrange } from "./in_place.js";

const said = new WeakMap(); // what an item says

/** Show alerts in the list, each given with what `alertItem` needs; or the text `none` where there are none. */
export function showAlerts(list, given, none) {
  const before = [...list.children];
  const focused = list.contains(document.activeElement) ? document.activeElement : null;
  const id = focused?.closest("li").dataset.id;
  const known = new Map(before.map((node) => [node.dataset.id, node]));
  const items = given.map(([alert, options]) => itemOf(known.get(alert.id), alert, options));
  if (!items.length && none) items.push(element("li", { class: "none quiet" }, text(none)));
  arrange(list, items);
  const at = before.findIndex((node) => node.dataset.id === id);
  if (focused && !list.contains(document.activeElement)) focusAgain(list, focused.localName, id, at);
}

/** The item that is there already, saying what the alert is now; while it is pressed, it stays as it is. */
function itemOf(old, alert, options) {
  const words = itemWords(alert, options);
  if (old && (said.get(old) === words || old.matches(":active"))) return old;
  const item = alertItem(alert, options);
  said.set(old ?? item, words);
  if (!old) return item;
  delete old.dataset.ended;
  Object.assign(old.dataset, item.dataset);
  old.replaceChildren(...item.childNodes);
  return old;
}

/** The focus stays on an alert whose item was made anew; where that has gone, it goes to the one in its place. */
function focusAgain(list, name, id, at) {
  const again = [...list.children].find((item) => item.dataset.id === id);
  const control = again?.querySelector(name) ?? again?.querySelector("button, a");
  if (control) {
    control.focus();
    return;
  }
  const neighbour = list.children[Math.min(at, list.children.length - 1)] ?? document.getElementById("content");
  neighbour.tabIndex = -1; // not one of its buttons: a key that is held down would press it
  neighbour.focus();
}
