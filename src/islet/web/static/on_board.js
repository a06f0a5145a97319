// Insulin and carbs on board: asked for after each event and as time goes on, in words and as columns for the chart.

import { now, text } from "./page.js";
import { Asked } from "./asked.js";

const COUNTED = ["insulin", "meal"];
const FRESH = 5 * 60e6;
const OLDEST = 10 * 60e6; // what was worked out longer ago is no present value

export class OnBoard extends Asked {
  constructor(patient, changed) {
    super(`/api/patients/${encodeURIComponent(patient)}/on-board`, changed);
  }

  /** Ask again where the present has moved on. */
  keepFresh() {
    if (now() - this.askedAt >= FRESH) this.ask();
  }

  /** Ask again for what care events among these change. */
  heard(documents) {
    const times = documents.filter((mark) => COUNTED.includes(mark.type) && mark.time_us <= now()).map((mark) => mark.time_us);
    if (times.length) this.ask(Math.max(...times));
  }

  /** What there is; null where nothing was written down that counts, or nothing could be had. */
  current() {
    const { found } = this;
    return found !== null && now() - found.now_us < OLDEST && found.doses + found.meals > 0 ? found : null;
  }

  /** Sentences: what is on board now, by which model, and that it is no dose. */
  words() {
    const found = this.current();
    if (found === null) return [];
    const { insulin_model: insulin, carbs_model: carbs } = found;
    const words = [];
    if (found.doses) {
      const said = { u: last(found.mealtime_u).toFixed(1), activity: last(found.activity_u_per_h).toFixed(1) };
      words.push(text("board.insulin", { ...said, hours: insulin.rapid_duration_min / 60, peak: insulin.rapid_peak_min }));
    }
    if (last(found.longer_u) > 0) words.push(text("board.longer", { u: last(found.longer_u).toFixed(0) }));
    if (found.meals) {
      words.push(text("board.carbs", { g: last(found.carbs_g).toFixed(0), hours: carbs.duration_min / 60 }));
    }
    if (found.unknown) words.push(text("board.unknown", { n: found.unknown }));
    return [...words, text("board.never_a_dose")];
  }
}

const last = (column) => column[column.length - 1];
