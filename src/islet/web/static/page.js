// What the server gave this page: texts, unit, clock; and how to build elements.

export const data = JSON.parse(document.getElementById("page-data").textContent);
export const { language, unit, user } = data;

/** The text of a key in the viewer's language, `{name}` filled in. */
export function text(key, values = {}) {
  const message = data.texts[key] ?? key;
  return message.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? values[name] : whole));
}

/** The title of a rule; a rule that the catalogue does not know goes by its name. */
export function ruleTitle(rule) {
  return data.texts[`rule.${rule}`] ?? rule.replaceAll("_", " ");
}

const HIDDEN_MS = 1_000; // a page that nobody looks at has no frames, but a number in its title
let origin;
setClock(data.clock);

/** The platform's present in µs; it may run faster than the wall's clock.
 *
 * What has passed since the server told it is the longer of two: `performance` stands while a computer sleeps, and then old
 * values would look like new ones; the computer's clock may be set back.
 */
export function now() {
  const passed = Math.max(performance.now() - origin.at, Date.now() - origin.date);
  return origin.now_us + passed * 1000 * origin.speed;
}

export function setClock(clock) {
  origin = { ...clock, at: performance.now(), date: Date.now() };
}

const formats = new Map();

const TIME = { hour: "2-digit", minute: "2-digit" };

/** An instant in µs as clock time in a zone, or as the options say. */
export function timeText(us, timeZone, options = TIME) {
  const key = timeZone + JSON.stringify(options);
  if (!formats.has(key)) {
    formats.set(key, new Intl.DateTimeFormat(language, { timeZone, hourCycle: "h23", ...options }));
  }
  return formats.get(key).format(us / 1000);
}

const DAY = { month: "short", day: "numeric" };
const YEAR = { year: "numeric" };

/** The same with the day where it is not today's, and the year where it is not this one. */
export function dayTimeText(us, timeZone) {
  const isNow = (options) => timeText(us, timeZone, options) === timeText(now(), timeZone, options);
  if (!isNow(YEAR)) return timeText(us, timeZone, { ...YEAR, ...DAY, ...TIME });
  return timeText(us, timeZone, isNow(DAY) ? TIME : { ...DAY, ...TIME });
}

/** The day of an instant in a zone. */
export const dayText = (us, timeZone) => timeText(us, timeZone, { ...YEAR, ...DAY });

/** How long, in the words of the language. */
export function spanText(us) {
  const minutes = Math.max(0, Math.round(us / 60e6));
  if (minutes < 60) return text("span.minutes", { n: minutes });
  if (minutes < 48 * 60) return text("span.hours", { h: Math.floor(minutes / 60), m: minutes % 60 });
  return text("span.days", { n: Math.floor(minutes / 1440) });
}

export function agoText(us) {
  const minutes = Math.floor(us / 60e6);
  if (minutes < 1) return text("age.now");
  if (minutes < 120) return text("age.minutes", { n: minutes });
  if (minutes < 48 * 60) return text("age.hours", { n: Math.floor(minutes / 60) });
  return text("age.days", { n: Math.floor(minutes / 1440) });
}

/** A function that has `render` called with the next frame, however often it is called before. */
export function eachFrame(render) {
  let due = false;
  const run = () => {
    if (!due) return;
    due = false;
    render();
  };
  return () => {
    if (due) return;
    due = true;
    requestAnimationFrame(run);
    setTimeout(run, HIDDEN_MS);
  };
}

/** An element; attributes that are null are left out, children that are strings become text. */
export function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}
