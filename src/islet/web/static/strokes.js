// What the chart's parts draw with. Places are canvas pixels.

/** A path through places. */
export function trace(ctx, places) {
  ctx.beginPath();
  places.forEach(([x, y], i) => (i === 0 ? ctx.moveTo(x, y) : ctx.lineTo(x, y)));
}

/** A triangle's path that points up (1) or down (-1). */
export function triangle(ctx, x, y, size, side) {
  ctx.moveTo(x - size, y + side * size);
  ctx.lineTo(x + size, y + side * size);
  ctx.lineTo(x, y - side * size * 0.7);
  ctx.closePath();
}

/** The chart's font at a size in CSS pixels. */
export const scaled = (px, box) => `${px * devicePixelRatio}px ${getComputedStyle(box).fontFamily}`;
