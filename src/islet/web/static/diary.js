// The diary: a time that nobody has touched is the present, also on a page that has been open for hours.

import { now } from "./page.js";

const entering = document.querySelector(".entering");
const PARTS = { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit" };

if (entering) {
  entering.addEventListener("toggle", bringUpToDate, true); // it does not bubble
  addEventListener("pageshow", bringUpToDate);
  document.addEventListener("visibilitychange", bringUpToDate);
}

function bringUpToDate() {
  const present = local(now());
  for (const input of entering.querySelectorAll("details:not(:has([aria-invalid])) input[name=when]")) {
    if (input.value === input.defaultValue) input.value = input.defaultValue = present;
  }
}

/** As the input has it, on the patient's clock. */
function local(us) {
  const said = new Intl.DateTimeFormat("en", { ...PARTS, hourCycle: "h23", timeZone: entering.dataset.zone });
  const part = Object.fromEntries(said.formatToParts(us / 1000).map(({ type, value }) => [type, value]));
  return `${part.year}-${part.month}-${part.day}T${part.hour}:${part.minute}`;
}
