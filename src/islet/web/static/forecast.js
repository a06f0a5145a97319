// What glucose will do in the next hour: asked for after each reading, in words, and why there is none.

import { now, text, unit } from "./page.js";
import { glucoseText } from "./reading.js";
import { Asked } from "./asked.js";

const OLDEST = 10 * 60e6; // a reading older than this is no base for what comes now
const MIDDLE = 50;

export class Forecast extends Asked {
  constructor(patient, changed) {
    super(`/api/patients/${encodeURIComponent(patient)}/forecast`, changed);
  }

  /** Why there is no forecast, as a key of `forecast.…`; null where there is one. */
  reason() {
    if (this.found === null) return this.failed ? "unknown" : "";
    if (this.found.reason) return this.found.reason;
    return now() - this.found.time_us > OLDEST ? "too_old" : null;
  }

  /** The forecast, null where there is none. */
  current() {
    return this.reason() === null ? this.found : null;
  }

  /** Sentences: the forecast or why there is none. */
  words() {
    const reason = this.reason();
    if (reason !== null) return reason ? [text(`forecast.${reason}`)] : [];
    const { risks, model, personal } = this.found;
    const [half, hour] = [this.#at(30), this.#at(60)];
    const said = { unit, half: half.middle, hour: hour.middle };
    const words = [
      half.low === undefined
        ? text("forecast.middle", said)
        : text("forecast.path", { ...said, half_low: half.low, half_high: half.high, hour_low: hour.low, hour_high: hour.high }),
    ];
    for (const [side, line] of [["below", 70], ["above", 180]]) {
      const risk = risks.find((one) => one.side === side && one.mg_dl === line && one.within_min === 60);
      if (risk) words.push(text(`forecast.risk_${side}`, { line: glucoseText(line * 10), unit, percent: percent(risk.percent) }));
    }
    if (personal) words.push(text("forecast.personal"));
    if (model !== "pooled") words.push(text("forecast.simple"));
    return [...words, text("forecast.not_for_dosing")];
  }

  #at(minutes) {
    const { quantiles_percent: kinds, glucose_tenths: values } = this.found;
    const row = values[this.found.minutes.indexOf(minutes)].map(glucoseText);
    const middle = row[kinds.indexOf(MIDDLE)];
    return row.length > 1 ? { middle, low: row[0], high: row.at(-1) } : { middle };
  }
}

const percent = (value) => (value < 1 ? "< 1" : String(Math.round(value)));
