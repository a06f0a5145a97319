// The glucose curve of one patient: fixed scale, target bands, gaps as gaps, and lanes above and bands below it.

import uPlot from "/static/vendor/uPlot.esm.js";
import { data, dayTimeText, language, now, text, timeText } from "./page.js";
import { CHART_MG_DL, VERY_HIGH, VERY_LOW, runs, zone } from "./glucose.js";
import { glucoseText, readingText } from "./reading.js";
import { BOARDS, BOARD_PX, LANES, LANE_PX, drawBoards, drawLanes } from "./chart_lanes.js";
import { scaled, trace, triangle } from "./strokes.js";

const AHEAD_SHARE = 0.03; // room to the right of the newest reading
const HOUR_S = 3600;
const FORECAST_S = HOUR_S;
const CONE = [[5, 95, 0.13], [25, 75, 0.2]]; // quantiles, and how dark what lies between them is

export class Chart {
  /** `source` gives points, alerts, care, forecast and onBoard; `readout` gets the index of the reading under the pointer. */
  constructor(box, { patient, timeZone, source, readout }) {
    Object.assign(this, { box, patient, timeZone, source, readout, hours: 3, plot: null });
    new ResizeObserver(() => this.plot && this.plot.width !== box.clientWidth && this.#build()).observe(box);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#build());
  }

  show(hours) {
    this.hours = hours;
    this.#build();
  }

  /** Draw again after something came in. */
  update() {
    if (this.plot && this.boards.length !== this.#boards().length) this.#build();
    else if (this.plot) this.plot.setData(this.#columns());
  }

  #build() {
    this.plot?.destroy();
    this.ink = palette();
    this.boards = this.#boards();
    this.plot = new uPlot(this.#options(), this.#columns(), this.box);
  }

  /** uPlot's columns: seconds and mg/dL, with a null in each gap so that no line crosses it. */
  #columns() {
    const { points } = this.source();
    const [x, y, at] = [[], [], []];
    runs(points).forEach(([first, end], i) => {
      if (i > 0) {
        x.push((points.time[first - 1] + points.time[first]) / 2e6);
        y.push(null);
        at.push(null);
      }
      for (let j = first; j < end; j += 1) {
        x.push(points.time[j] / 1e6);
        y.push(Math.min(CHART_MG_DL[1], Math.max(CHART_MG_DL[0], points.glucose[j] / 10)));
        at.push(j);
      }
    });
    this.at = at;
    return [x, y];
  }

  /** The bands below the curve: of what there is. */
  #boards() {
    const { onBoard } = this.source();
    return onBoard === null ? [] : BOARDS.filter(({ counted }) => onBoard[counted]);
  }

  #range() {
    const end = Math.max(now(), this.source().points.last?.time ?? 0) / 1e6;
    const ahead = this.hours * HOUR_S * AHEAD_SHARE;
    const { forecast } = this.source();
    const cone = forecast === null ? 0 : forecast.time_us / 1e6 + FORECAST_S - end + ahead / 2;
    return [end - this.hours * HOUR_S, end + Math.max(ahead, cone)];
  }

  #options() {
    const width = this.box.clientWidth;
    const narrow = width < 520;
    this.narrow = narrow;
    const { ink } = this;
    const font = `11px ${getComputedStyle(this.box).fontFamily}`;
    const limits = [this.patient.low_mg_dl, this.patient.high_mg_dl, VERY_HIGH / 10];
    const grid = { stroke: ink.line, width: 1 };
    return {
      width,
      height: (narrow ? 280 : 340) + LANES.length * LANE_PX + this.boards.length * BOARD_PX,
      padding: [LANES.length * LANE_PX + 6, narrow ? 16 : 64, this.boards.length * BOARD_PX, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 9, fill: ink.ink, stroke: ink.surface } },
      scales: { x: { range: () => this.#range() }, y: { range: CHART_MG_DL } },
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), this.timeZone),
      axes: [
        {
          stroke: ink.muted,
          font,
          grid: { show: false },
          ticks: grid,
          space: narrow ? 60 : 80,
          values: (_, splits) => splits.map((seconds) => timeText(seconds * 1e6, this.timeZone)),
        },
        {
          stroke: ink.muted,
          font,
          grid,
          ticks: { show: false },
          size: narrow ? 54 : 64,
          splits: () => [CHART_MG_DL[0], ...limits, CHART_MG_DL[1]],
          values: (_, splits) => splits.map((mgDl) => glucoseText(mgDl * 10)),
        },
      ],
      series: [{}, { stroke: ink.ink, width: 2, points: { show: false }, spanGaps: false }],
      hooks: {
        drawClear: [(plot) => drawBands(plot, this)],
        draw: [drawMidnights, drawCone, drawPoints, drawBandNames, drawLanes, drawBoards].map((draw) => (plot) => draw(plot, this)),
        setCursor: [(plot) => this.readout(plot.cursor.idx === null ? null : (this.at[plot.cursor.idx] ?? null))],
      },
    };
  }
}

/** The page's colours; the chart is made again when they change. */
function palette() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  const zones = ["very_low", "low", "target", "high", "very_high"];
  const severities = ["urgent", "warning", "notice", "technical"];
  return {
    band: Number(colour("band")),
    ...Object.fromEntries(["ink", "muted", "line", "surface", "meal", "insulin", "exercise"].map((n) => [n, colour(n)])),
    zone: Object.fromEntries(zones.map((name) => [name, colour(name.replace("_", "-"))])),
    severity: Object.fromEntries(severities.map((name) => [name, colour(name)])),
  };
}

function drawBands(plot, { patient, ink }) {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.globalAlpha = ink.band;
  for (const [name, top, bottom] of bands(plot, patient)) {
    ctx.fillStyle = ink.zone[name];
    ctx.fillRect(bbox.left, top, bbox.width, bottom - top);
  }
  ctx.restore();
}

/** The bands' names: beside the plot, or on a narrow screen inside it at the old end, with a halo over the curve. */
function drawBandNames(plot, { patient, ink, box, narrow }) {
  const { ctx, bbox } = plot;
  const right = bbox.left + bbox.width;
  ctx.save();
  ctx.font = scaled(10, box);
  ctx.textBaseline = "middle";
  ctx.textAlign = "left";
  ctx.strokeStyle = ink.surface;
  ctx.lineWidth = 3 * devicePixelRatio;
  ctx.fillStyle = ink.muted;
  for (const [name, top, bottom] of bands(plot, patient)) {
    const at = [text(`zone.${name}`), narrow ? bbox.left + 4 * devicePixelRatio : right + 7 * devicePixelRatio, (top + bottom) / 2];
    if (narrow) ctx.strokeText(...at);
    ctx.fillText(...at);
  }
  ctx.restore();
}

/** Name, top and bottom (canvas pixels) of each band. */
function bands(plot, patient) {
  const edges = [CHART_MG_DL[0], VERY_LOW / 10, patient.low_mg_dl, patient.high_mg_dl, VERY_HIGH / 10, CHART_MG_DL[1]];
  const y = edges.map((mgDl) => plot.valToPos(mgDl, "y", true));
  return ["very_low", "low", "target", "high", "very_high"].map((name, i) => [name, y[i + 1], y[i]]);
}

/** A line and the date at each midnight of the patient's zone. */
function drawMidnights(plot, { timeZone, ink, box }) {
  const { ctx, bbox } = plot;
  const { min, max } = plot.scales.x;
  ctx.save();
  ctx.font = scaled(10, box);
  ctx.strokeStyle = ink.muted;
  ctx.fillStyle = ink.muted;
  ctx.textBaseline = "top";
  ctx.textAlign = "left";
  ctx.setLineDash([2 * devicePixelRatio, 3 * devicePixelRatio]);
  for (const midnight of midnights(min, max, timeZone)) {
    const x = plot.valToPos(midnight, "x", true);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    const day = new Intl.DateTimeFormat(language, { timeZone, weekday: "short", month: "short", day: "numeric" });
    ctx.fillText(day.format(midnight * 1000), x + 4 * devicePixelRatio, bbox.top + 4 * devicePixelRatio);
  }
  ctx.restore();
}

/** Instants (s) in [from, to] at which a day begins in a zone: looked for by quarter hours, as zones are at least. */
function midnights(from, to, timeZone) {
  const day = new Intl.DateTimeFormat("en-CA", { timeZone, year: "numeric", month: "2-digit", day: "2-digit" });
  const found = [];
  const first = Math.ceil(from / 900) * 900;
  for (let at = first; at <= to; at += 900) {
    if (day.format(at * 1000) !== day.format((at - 1) * 1000)) found.push(at);
  }
  return found;
}

/** What will come: where nine in ten and one in two lie, and the middle as a dashed line. */
function drawCone(plot, { source, ink }) {
  const { forecast, points } = source();
  if (forecast === null) return;
  const { ctx, bbox } = plot;
  const { quantiles_percent: kinds, glucose_tenths: values, minutes, time_us: from } = forecast;
  const x = [from, ...minutes.map((minute) => from + minute * 60e6)].map((us) => plot.valToPos(us / 1e6, "x", true));
  const at = points.time.indexOf(from);
  const start = at < 0 ? null : points.glucose[at];
  const height = (tenths) => plot.valToPos(Math.min(CHART_MG_DL[1], Math.max(CHART_MG_DL[0], tenths / 10)), "y", true);
  const line = (percent) => {
    const own = values.map((row) => row[kinds.indexOf(percent)]);
    return [start ?? own[0], ...own].map((tenths, i) => [x[i], height(tenths)]);
  };
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  ctx.fillStyle = ink.ink;
  for (const [low, high, dark] of CONE) {
    if (!kinds.includes(low)) continue;
    ctx.globalAlpha = dark;
    trace(ctx, [...line(low), ...line(high).reverse()]);
    ctx.closePath();
    ctx.fill();
  }
  ctx.globalAlpha = 1;
  ctx.strokeStyle = ink.ink;
  ctx.lineWidth = 2 * devicePixelRatio;
  ctx.setLineDash([6 * devicePixelRatio, 5 * devicePixelRatio]);
  trace(ctx, line(50));
  ctx.stroke();
  ctx.restore();
}

/** A dot for each reading, in its zone's colour; a triangle where the sensor could only say LOW or HIGH. */
function drawPoints(plot, { source, patient, ink, hours }) {
  const { ctx } = plot;
  const { points } = source();
  const { min, max } = plot.scales.x;
  const unit = devicePixelRatio;
  const radius = (hours <= 6 ? 3 : 2) * unit;
  ctx.save();
  for (let i = 0; i < points.length; i += 1) {
    const seconds = points.time[i] / 1e6;
    if (seconds < min || seconds > max) continue;
    const mgDl = points.glucose[i] / 10;
    const side = points.range[i] || (mgDl < CHART_MG_DL[0] ? -1 : mgDl > CHART_MG_DL[1] ? 1 : 0);
    const x = plot.valToPos(seconds, "x", true);
    const y = plot.valToPos(Math.min(CHART_MG_DL[1], Math.max(CHART_MG_DL[0], mgDl)), "y", true);
    ctx.fillStyle = ink.zone[zone(points.glucose[i], patient)];
    ctx.strokeStyle = ink.ink;
    ctx.lineWidth = 0.75 * unit;
    ctx.beginPath();
    if (side === 0) ctx.arc(x, y, radius, 0, 2 * Math.PI);
    else triangle(ctx, x, y, 5 * unit, side);
    ctx.fill();
    if (side !== 0 || hours <= 6) ctx.stroke();
  }
  ctx.restore();
}

/** One sentence that says what the chart shows, for those who do not see it. */
export function summary(points, hours, patient, timeZone) {
  const from = now() - hours * 3600e6;
  const seen = points.time.flatMap((time, i) => (time >= from ? [i] : []));
  if (!seen.length) {
    const newest = points.last && text("chart.newest", { time: dayTimeText(points.last.time, timeZone) });
    return [text("chart.empty", { hours }), newest].filter(Boolean).join(" ");
  }
  const glucose = seen.map((i) => points.glucose[i]);
  const inRange = glucose.filter((value) => zone(value, patient) === "target").length;
  const gaps = runs(points).filter(([first]) => first > seen[0]).length;
  return text("chart.summary", {
    hours,
    n: seen.length,
    low: readingText(points, seen[glucose.indexOf(Math.min(...glucose))]),
    high: readingText(points, seen[glucose.indexOf(Math.max(...glucose))]),
    unit: data.unit,
    share: Math.round((100 * inRange) / seen.length),
    last: readingText(points, seen.at(-1)),
    time: timeText(points.time[seen.at(-1)], timeZone),
    gaps,
  });
}
