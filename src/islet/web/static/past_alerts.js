// Alerts from before those that a page has: more of them with each press of a button, until there are none.

import { load } from "./live.js";

export class PastAlerts {
  /** `until` gives the instant in µs from which on the page has none; `changed` is called when there are more. */
  constructor(button, { patient = null, until, changed }) {
    this.alerts = [];
    this.asked = false;
    this.labels = {};
    this.button = button;
    this.wanted = { patient, until, changed };
    button.addEventListener("click", () => this.#more());
  }

  async #more() {
    const { patient, until, changed } = this.wanted;
    const query = new URLSearchParams({ until: this.alerts.at(-1)?.onset_us ?? until() });
    if (patient !== null) query.set("patient", patient);
    if (this.button.ariaDisabled) return;
    this.button.ariaDisabled = "true"; // disabled, it would lose the focus
    try {
      const { alerts, labels, more } = await load(`/api/alerts/past?${query}`);
      const known = new Set(this.alerts.map((alert) => alert.id));
      this.alerts.push(...alerts.filter((alert) => !known.has(alert.id)));
      Object.assign(this.labels, labels);
      this.asked = true;
      this.button.hidden = !more;
      changed();
    } catch {
      // the banner tells of a lost connection
    }
    this.button.ariaDisabled = null;
  }
}
