// What the server works out from the newest data: asked for again until its answer has seen that.

import { load } from "./live.js";
import { now } from "./page.js";

const AGAIN_MS = 700; // the store follows the log at a short distance
const TRIES = 5;

export class Asked {
  /** `changed` is called when another answer has come, or none could be had. */
  constructor(path, changed) {
    Object.assign(this, { path, changed, found: null, failed: false, wanted: null, asking: false, askedAt: 0 });
  }

  /** Ask for what follows from the data up to that instant (or from what there is, where there is none). */
  async ask(newest = 0) {
    this.wanted = Math.max(newest, this.wanted ?? 0);
    if (this.asking) return;
    this.asking = true;
    this.askedAt = now();
    for (let left = TRIES; left > 0; left -= 1) {
      try {
        this.found = await load(this.path);
        this.failed = false;
      } catch {
        this.failed = true;
      }
      this.changed();
      if (!this.failed && (this.found.time_us ?? 0) >= this.wanted) break;
      await new Promise((done) => setTimeout(done, AGAIN_MS));
    }
    this.asking = false;
  }
}
