// The lanes above the glucose curve (alerts and care), and the bands below it (what is on board).

import { now, text } from "./page.js";
import { scaled, trace, triangle } from "./strokes.js";

export const LANES = ["alerts", "meals", "insulin", "exercise"];
export const LANE_PX = 19;
const LANE_OF = { meal: "meals", insulin: "insulin", exercise: "exercise" };
export const BOARDS = [
  { name: "iob", counted: "doses", column: "mealtime_u", colour: "insulin", least: 2, unit: "U", decimals: 1 },
  { name: "cob", counted: "meals", column: "carbs_g", colour: "meal", least: 20, unit: "g", decimals: 0 },
]; // `least`: what a band's height is at least
export const BOARD_PX = 30;
const LABEL_ROOM_PX = 34;
const HOUR_S = 3600;

/** Above the curve: alerts as bars over their time, meals and insulin as marks with amounts, exercise as bars. */
export function drawLanes(plot, chart) {
  const { ctx, bbox } = plot;
  const { ink, box } = chart;
  const unit = devicePixelRatio;
  const lane = (name) => bbox.top - (LANES.length - LANES.indexOf(name) - 0.5) * LANE_PX * unit - 4 * unit;
  ctx.save();
  ctx.font = scaled(10, box);
  ctx.textBaseline = "middle";
  for (const name of LANES) {
    ctx.fillStyle = ink.muted;
    ctx.textAlign = "right";
    ctx.fillText(text(`lane.${name}`), bbox.left - 7 * unit, lane(name));
    ctx.fillStyle = ink.line;
    ctx.fillRect(bbox.left, lane(name) + (LANE_PX / 2 - 1) * unit, bbox.width, unit * 0.5);
  }
  ctx.beginPath();
  ctx.rect(bbox.left, 0, bbox.width, bbox.top);
  ctx.clip();
  drawAlerts(plot, chart, lane("alerts"));
  drawCare(plot, chart, lane);
  ctx.restore();
}

/** Below the curve: what of insulin and of carbs is still to come, each on a scale of its own. */
export function drawBoards(plot, { source, boards, ink, box }) {
  const { onBoard } = source();
  if (onBoard === null) return;
  plot.ctx.save();
  plot.ctx.font = scaled(10, box);
  plot.ctx.textBaseline = "middle";
  boards.forEach((board, i) => {
    const bottom = (plot.height - (boards.length - 1 - i) * BOARD_PX - 2) * devicePixelRatio;
    drawBoard(plot, board, onBoard, bottom, ink);
  });
  plot.ctx.restore();
}

function drawBoard(plot, board, onBoard, bottom, ink) {
  const { ctx, bbox } = plot;
  const unit = devicePixelRatio;
  const tall = (BOARD_PX - 8) * unit;
  const shown = onBoard.at_us.flatMap((us, k) => (us / 1e6 < plot.scales.x.min ? [] : [[us / 1e6, onBoard[board.column][k]]]));
  const most = Math.max(board.least, ...shown.map(([, amount]) => amount));
  const places = shown.map(([s, amount]) => [plot.valToPos(s, "x", true), bottom - (tall * amount) / most]);
  const [first, last] = [places[0], places.at(-1)];
  ctx.fillStyle = ink.line;
  ctx.fillRect(bbox.left, bottom, bbox.width, unit * 0.5);
  ctx.fillStyle = ink.muted;
  ctx.textAlign = "right";
  ctx.fillText(text(`lane.${board.name}`), bbox.left - 7 * unit, bottom - tall / 2);
  ctx.textAlign = "left";
  ctx.fillText(`${shown.at(-1)[1].toFixed(board.decimals)} ${board.unit}`, last[0] + 5 * unit, bottom - tall / 2);
  ctx.fillStyle = ink[board.colour];
  ctx.strokeStyle = ink[board.colour];
  ctx.lineWidth = unit;
  trace(ctx, places);
  ctx.stroke();
  trace(ctx, [[first[0], bottom], ...places, [last[0], bottom]]);
  ctx.globalAlpha = 0.25;
  ctx.fill();
  ctx.globalAlpha = 1;
}

function drawAlerts(plot, { source, ink }, y) {
  const { ctx } = plot;
  const unit = devicePixelRatio;
  const x = (us) => plot.valToPos(us / 1e6, "x", true);
  for (const alert of source().alerts.toReversed()) {
    const [from, to] = [x(alert.onset_us), x(alert.cleared_us ?? now())];
    ctx.fillStyle = ink.severity[alert.severity];
    ctx.globalAlpha = 0.45;
    ctx.fillRect(from, y - 2.5 * unit, Math.max(to - from, 2 * unit), 5 * unit);
    ctx.globalAlpha = 1;
    ctx.beginPath();
    triangle(ctx, from, y + unit, 5.5 * unit, 1);
    ctx.fill();
  }
}

function drawCare(plot, { source, ink }, lane) {
  const { ctx } = plot;
  const unit = devicePixelRatio;
  const free = {};
  ctx.textAlign = "left";
  for (const mark of source().care) {
    const name = LANE_OF[mark.type];
    if (!name || mark.time_us / 1e6 < plot.scales.x.min - HOUR_S * (mark.type === "exercise")) continue;
    const x = plot.valToPos(mark.time_us / 1e6, "x", true);
    const y = lane(name);
    ctx.fillStyle = ink[mark.type];
    let end = x + 6 * unit;
    if (mark.type === "exercise") {
      end = plot.valToPos(mark.time_us / 1e6 + mark.body.duration_min * 60, "x", true);
      ctx.fillRect(x, y - 4 * unit, end - x, 8 * unit);
    } else {
      drawMark(ctx, mark.type, x, y, unit);
    }
    const words = careAmount(mark);
    if (words && x >= (free[name] ?? -Infinity)) {
      ctx.fillStyle = ink.ink;
      ctx.fillText(words, end + 3 * unit, y);
      free[name] = end + LABEL_ROOM_PX * unit;
    }
  }
}

function drawMark(ctx, type, x, y, unit) {
  ctx.beginPath();
  if (type === "meal") {
    ctx.arc(x, y, 4.5 * unit, 0, 2 * Math.PI);
  } else {
    ctx.moveTo(x, y - 5.5 * unit);
    ctx.lineTo(x + 4.5 * unit, y);
    ctx.lineTo(x, y + 5.5 * unit);
    ctx.lineTo(x - 4.5 * unit, y);
  }
  ctx.fill();
}

/** The amount of a care event with its unit, as short as it goes. */
export function careAmount({ type, body }) {
  if (type === "meal" && body.carbs_g) return `${round(body.carbs_g)} g`;
  if (type === "insulin") return `${round(body.dose_u)} U`;
  if (type === "exercise") return `${round(body.duration_min)} min`;
  if (type === "medication" && body.dose) return `${round(body.dose)} ${body.dose_unit ?? ""}`.trim();
  return "";
}

const round = (amount) => String(Math.round(amount * 10) / 10);
