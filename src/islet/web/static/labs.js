// HbA1c from the laboratory among a patient's events: each value beside the GMI of the days before it, and the gap.

import { element, svg, text } from "./page.js";
import { Asked } from "./asked.js";

const ICON = "M6 2h4 M7 2v9a2 2 0 0 0 3 0V2 M7 8h3";

export class Labs extends Asked {
  constructor(patient, changed) {
    super(`/api/patients/${encodeURIComponent(patient)}/hba1c`, changed);
  }

  /** Ask again where one of these care events is a laboratory's value. */
  heard(documents) {
    const times = documents.filter(({ type }) => type === "hba1c").map((mark) => mark.time_us);
    if (times.length) this.ask(Math.max(...times));
  }

  /** List items, the newest first; [] without values. */
  items() {
    return (this.found?.labs ?? []).map((lab) => {
      const icon = svg("svg", { viewBox: "0 0 16 16", class: "icon", "aria-hidden": "true" });
      icon.append(svg("path", { d: ICON }));
      const value = element("span", {}, element("strong", {}, "HbA1c"), ` ${lab.percent.toFixed(1)} % (${lab.mmol_mol} mmol/mol)`);
      const when = element("time", { datetime: lab.day }, lab.day);
      return element("li", { "data-type": "hba1c" }, icon, when, value, beside(lab));
    });
  }
}

function beside({ days, gmi_percent: gmi, gap }) {
  if (gmi !== null) {
    const signed = (gap < 0 ? "−" : "+") + Math.abs(gap).toFixed(1);
    return element("span", { class: "quiet" }, text("lab.gap", { days, gmi: gmi.toFixed(1), gap: signed }));
  }
  return days ? element("span", { class: "quiet" }, text("lab.few")) : null;
}
