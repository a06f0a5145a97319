// What a glucose value means: its zone, age, change and trend. Pure: no page, no clock.
// Values are tenths of mg/dL, instants µs, as in the log.

const MINUTE = 60e6;
export const VERY_LOW = 540; // level 2 hypo- and hyperglycaemia: international consensus, doi:10.2337/dci19-0028
export const VERY_HIGH = 2500;
export const CHART_MG_DL = [40, 400];
const LATE = 6 * MINUTE; // one 5-minute sample has been missed
const STALE = 15 * MINUTE; // no longer to be read as the present value
const TREND_WINDOW = 15 * MINUTE;
const TREND_LEAST = 4 * MINUTE;
const CHANGE_WITHIN = 16 * MINUTE; // the slowest sensors read every quarter of an hour

/** Readings in columns, ascending, one per instant. */
export class Points {
  constructor({ time_us = [], glucose_tenths = [], range = [] } = {}) {
    this.time = [...time_us];
    this.glucose = [...glucose_tenths];
    this.range = [...range];
  }

  get length() {
    return this.time.length;
  }

  /** Take in a reading that may be late or known already; whether anything changed. */
  add(time, glucose, range) {
    let at = this.length;
    while (at > 0 && this.time[at - 1] > time) at -= 1;
    if (at > 0 && this.time[at - 1] === time) return false;
    this.time.splice(at, 0, time);
    this.glucose.splice(at, 0, glucose);
    this.range.splice(at, 0, range);
    return true;
  }

  merge(other) {
    other.time.forEach((time, i) => this.add(time, other.glucose[i], other.range[i]));
  }

  /** Forget what is older, but never the newest reading. */
  forgetBefore(time) {
    let count = 0;
    while (count < this.length - 1 && this.time[count] < time) count += 1;
    for (const column of [this.time, this.glucose, this.range]) column.splice(0, count);
  }

  /** The newest reading, or null. */
  get last() {
    const at = this.length - 1;
    return at < 0 ? null : { time: this.time[at], glucose: this.glucose[at], range: this.range[at] };
  }
}

/** The zone of a value for a patient's own limits: `very_low` … `very_high`. */
export function zone(glucose, limits) {
  if (glucose < VERY_LOW) return "very_low";
  if (glucose < limits.low_mg_dl * 10) return "low";
  if (glucose <= limits.high_mg_dl * 10) return "target";
  return glucose <= VERY_HIGH ? "high" : "very_high";
}

/** How far outside the target, in mg/dL. */
export function outside(glucose, limits) {
  return Math.max(0, limits.low_mg_dl - glucose / 10, glucose / 10 - limits.high_mg_dl);
}

/** A value as people read it: whole mg/dL, or mmol/L with one decimal, whatever the language. */
export function shown(glucose, unit, mgDlPerMmolL) {
  return unit === "mg/dL" ? String(Math.round(glucose / 10)) : (glucose / 10 / mgDlPerMmolL).toFixed(1);
}

/** fresh, late, stale or none. */
export function ageState(last, now) {
  if (last === null) return "none";
  const age = now - last.time;
  if (age > STALE) return "stale";
  return age > LATE ? "late" : "fresh";
}

/** The difference to the reading before, in tenths of mg/dL; null when that is missing or too long ago. */
export function change(points) {
  const n = points.length;
  if (n < 2 || points.time[n - 1] - points.time[n - 2] > CHANGE_WITHIN) return null;
  if (points.range[n - 1] !== 0 || points.range[n - 2] !== 0) return null;
  return points.glucose[n - 1] - points.glucose[n - 2];
}

/** Rate of change in mg/dL per minute: least squares over the last 15 minutes; null with less than 4 minutes. */
export function rate(points) {
  const last = points.last;
  if (last === null || last.range !== 0) return null;
  let first = points.length - 1;
  while (first > 0 && last.time - points.time[first - 1] <= TREND_WINDOW && points.range[first - 1] === 0) first -= 1;
  if (last.time - points.time[first] < TREND_LEAST) return null;
  const minutes = points.time.slice(first).map((time) => (time - last.time) / MINUTE);
  const values = points.glucose.slice(first).map((glucose) => glucose / 10);
  const meanX = mean(minutes);
  const meanY = mean(values);
  const xy = minutes.reduce((sum, x, i) => sum + (x - meanX) * (values[i] - meanY), 0);
  return xy / minutes.reduce((sum, x) => sum + (x - meanX) ** 2, 0);
}

/** One of seven levels at 1, 2 and 3 mg/dL per minute, or `unknown`. */
export function trend(points) {
  const perMinute = rate(points);
  if (perMinute === null) return "unknown";
  const steps = ["flat", "slight_", "", "double_"];
  const step = steps[Math.min(3, Math.floor(Math.abs(perMinute) + 1e-9))];
  return step === "flat" ? "flat" : step + (perMinute > 0 ? "up" : "down");
}

/** The usual distance of two readings in µs: the median, between 1 and 15 minutes. */
export function cadence(points) {
  const steps = points.time.slice(1).map((time, i) => time - points.time[i]).sort((a, b) => a - b);
  const median = steps.length ? steps[Math.floor(steps.length / 2)] : 5 * MINUTE;
  return Math.min(15 * MINUTE, Math.max(MINUTE, median));
}

/** Runs [first, end) of readings without a gap; a gap is more than two missed samples. */
export function runs(points) {
  const longest = 3.5 * cadence(points);
  const found = [];
  for (let i = 0; i < points.length; i += 1) {
    if (i > 0 && points.time[i] - points.time[i - 1] <= longest) found.at(-1)[1] = i + 1;
    else found.push([i, i + 1]);
  }
  return found;
}

function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
