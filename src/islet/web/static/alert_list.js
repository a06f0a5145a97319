// A list of alerts that changes while it is being used: an item that says what it said before is the same one, so that a press
// on it counts, and one that is in use keeps its place.

import { element, text } from "./page.js";
import { arrange } from "./in_place.js";

const said = new WeakMap(); // what an item said when it was made

/** Show these items in the list, or the text `none` where there are none. */
export function showItems(list, items, none) {
  const wanted = items.length || !none ? items : [element("li", { class: "none quiet" }, text(none))];
  const before = [...list.children];
  const focused = list.contains(document.activeElement) ? document.activeElement : null;
  const id = focused?.closest("li").dataset.id;
  const known = new Map(before.map((node) => [node.dataset.id, node]));
  arrange(list, wanted.map((item) => same(known.get(item.dataset.id), item)));
  const at = before.findIndex((node) => node.dataset.id === id);
  if (focused && !list.contains(document.activeElement)) focusAgain(list, focused.localName, id, at);
}

/** The item that is there already, saying the same as the new one; while it is pressed, it stays as it is. */
function same(old, item) {
  const words = item.outerHTML;
  said.set(item, words);
  if (!old) return item;
  if (said.get(old) === words || old.matches(":active")) return old;
  delete old.dataset.ended;
  Object.assign(old.dataset, item.dataset);
  old.replaceChildren(...item.childNodes);
  said.set(old, words);
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
