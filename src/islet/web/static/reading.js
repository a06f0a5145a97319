// A reading as people see it: value, arrow, change, age; and the small line of the last three hours.

import { agoText, data, element, now, svg, text, unit } from "./page.js";
import { ageState, change, runs, shown, trend, zone } from "./glucose.js";

const CLAMPS = { "-1": "below", 1: "above" };
const TURN = { double_up: -90, up: -90, slight_up: -45, flat: 0, slight_down: 45, down: 90, double_down: 90 };
const SPARK = { width: 132, height: 40, hours: 3, low: 40, high: 340 };

export const glucoseText = (glucose) => shown(glucose, unit, data.mg_dl_per_mmol_l);

/** A reading's value; LOW or HIGH where the sensor could tell no more. */
export function readingText(points, i) {
  const clamp = CLAMPS[points.range[i]];
  return clamp ? text(`clamp.${clamp}`) : glucoseText(points.glucose[i]);
}

/** The newest reading of `points`, ready to be shown. */
export function latest(points, limits) {
  const last = points.last;
  const state = ageState(last, now());
  return {
    last,
    state,
    zone: last === null ? null : zone(last.glucose, limits),
    trend: state === "fresh" || state === "late" ? trend(points) : "unknown",
    change: state === "stale" ? null : change(points),
  };
}

/** The value; one that is out of date is struck through, so that nobody takes it for the present one. */
export function valueNode({ last, state }) {
  if (last === null) return element("span", { class: "number" }, "–");
  const clamp = CLAMPS[last.range];
  const shownValue = clamp ? text(`clamp.${clamp}`) : glucoseText(last.glucose);
  const title = clamp ? text(`clamp.${clamp}_title`) : null;
  return element(state === "stale" ? "s" : "span", { class: "number", title }, shownValue);
}

/** The arrow with its meaning in words. */
export function trendNode({ trend: level }) {
  const words = text(`trend.${level}`);
  if (level === "unknown") return element("span", { class: "trend", title: words }, "–", hidden(words));
  const arrow = "M3 10h13 M11.500 5.500 16 10l-4.500 4.500";
  const turn = { transform: `rotate(${TURN[level]} 10 10)`, d: arrow };
  const one = () => svg("svg", { viewBox: "0 0 20 20", class: "icon", "aria-hidden": "true" }, svg("path", turn));
  const arrows = level.startsWith("double_") ? [one(), one()] : [one()];
  return element("span", { class: "trend", title: words }, ...arrows, hidden(words));
}

export function changeText({ change: tenths }) {
  if (tenths === null) return "–";
  const amount = glucoseText(Math.abs(tenths));
  if (Number(amount) === 0) return "±0";
  return (tenths > 0 ? "+" : "−") + amount;
}

export function ageNode({ last, state }) {
  const words = text(`age.${state}`);
  const said = last === null ? words : agoText(now() - last.time);
  const node = element("span", { class: "age", "data-age": state, title: words });
  node.append(said, ...(state === "late" || state === "stale" ? [element("small", {}, words)] : []));
  return node;
}

/** The last three hours as a line with the target behind it; gaps stay open. */
export function spark(points, limits) {
  const { width, height } = SPARK;
  const end = now();
  const x = (time) => width - 4 - ((end - time) / (SPARK.hours * 3600e6)) * (width - 4);
  const y = (glucose) => {
    const share = (glucose / 10 - SPARK.low) / (SPARK.high - SPARK.low);
    return height - Math.min(1, Math.max(0, share)) * height;
  };
  const [top, bottom] = [y(limits.high_mg_dl * 10), y(limits.low_mg_dl * 10)];
  const image = svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "spark", "aria-hidden": "true" });
  image.append(svg("rect", { class: "spark-target", x: 0, y: top, width, height: bottom - top, rx: 2 }));
  const from = end - SPARK.hours * 3600e6;
  const line = runs(points)
    .map(([first, stop]) => path(points, first, stop, from, x, y))
    .join("");
  if (line) image.append(svg("path", { class: "spark-line", d: line }));
  const last = points.last;
  if (last !== null && last.time >= from) {
    image.append(svg("circle", { class: "spark-dot", cx: x(last.time), cy: y(last.glucose), r: 3 }));
  }
  return image;
}

function path(points, first, stop, from, x, y) {
  let d = "";
  for (let i = first; i < stop; i += 1) {
    if (points.time[i] < from) continue;
    d += `${d ? "L" : "M"}${x(points.time[i]).toFixed(1)} ${y(points.glucose[i]).toFixed(1)}`;
  }
  return d;
}

function hidden(words) {
  return element("span", { class: "hidden" }, words);
}

