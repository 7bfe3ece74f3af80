// Scales and ticks of charts, linear and logarithmic, and what canvases have in common.

import { digits } from "./format.js";

/** A scale from data to pixels. */
export class Scale {
  constructor(low, high, from, to, isLog = false) {
    this.isLog = isLog && high > 0;
    this.low = this.isLog ? Math.max(low, high * 1e-9) : low;
    this.high = high > this.low ? high : this.low + (this.isLog ? this.low : 1);
    this.from = from;
    this.to = to;
  }

  /** Return the pixel of a value; values that a logarithm does not have lie at the low end. */
  at(value) {
    const part = this.isLog
      ? value > 0
        ? Math.log(value / this.low) / Math.log(this.high / this.low)
        : 0
      : (value - this.low) / (this.high - this.low);
    return this.from + Math.max(0, Math.min(1, part)) * (this.to - this.from);
  }

  /** Return the value at a pixel. */
  value(pixel) {
    const part = (pixel - this.from) / (this.to - this.from);
    return this.isLog ? this.low * (this.high / this.low) ** part : this.low + part * (this.high - this.low);
  }

  /** Return about so many round values. */
  ticks(most) {
    if (this.isLog) return logTicks(this.low, this.high, most);
    const ticks = linearTicks(this.low, this.high, most);
    return ticks.length > 1 ? ticks : linearTicks(this.low, this.high, most * 2.5);
  }
}

function linearTicks(low, high, most) {
  const raw = (high - low) / Math.max(1, most);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= raw) ?? 10 * power;
  const ticks = [];
  for (let place = Math.ceil(low / step - 1e-9); place * step <= high + step * 1e-9; place++) ticks.push(place * step);
  return ticks;
}

function logTicks(low, high, most) {
  const first = Math.floor(Math.log10(low));
  const last = Math.ceil(Math.log10(high));
  const decades = last - first;
  const every = Math.max(1, Math.ceil(decades / Math.max(1, most)));
  const factors = decades <= 1 ? [1, 2, 5] : decades <= 2 ? [1, 3] : [1];
  const ticks = [];
  for (let decade = first; decade <= last; decade += every) {
    for (const factor of factors) ticks.push(factor * 10 ** decade);
  }
  return ticks.filter((tick) => tick >= low * 0.999 && tick <= high * 1.001);
}

/**
 * Return the label of a tick, short; `top` is the largest tick beside it, so that all have the same prefix, and `step` the
 * distance between two, so that no two look alike.
 */
export function tickLabel(value, top = value, step = value) {
  if (value === 0) return "0";
  const size = Math.abs(top);
  const apart = Math.floor(Math.log10(Math.abs(value))) - Math.floor(Math.log10(step || 1)) + 1;
  const significant = Math.max(4, Math.min(apart, 9));
  if (size >= 1e6) return `${digits(value / 1e6, significant)}M`;
  if (size >= 1e4) return `${digits(value / 1e3, significant)}k`;
  return digits(value, significant);
}

/** Return the unit in which a duration is drawn, and its seconds. */
export function timeUnit(seconds) {
  for (const [size, unit] of [
    [86400, "d"],
    [3600, "h"],
    [60, "min"],
  ]) {
    if (seconds >= 2 * size) return [size, unit];
  }
  return [1, "s"];
}

/** Return the colours of the theme that is shown now. */
export function themeColours() {
  const style = getComputedStyle(document.documentElement);
  const read = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    ink: read("ink"),
    soft: read("soft"),
    grid: read("grid"),
    edge: read("edge"),
    curve: read("curve"),
    fill: read("curve-fill"),
    second: read("second"),
    warn: read("warn-ground"),
    bad: read("bad-ground"),
    surface: read("surface"),
    font: `${13 * textScale()}px ${read("sans")}`,
  };
}

/** Return by how much text is larger than on a usual screen; margins of charts grow with it. */
export function textScale() {
  return parseFloat(getComputedStyle(document.documentElement).fontSize) / 16;
}

/** Make a canvas as sharp as the screen is; return its context, width and height in CSS pixels. */
export function prepare(canvas, height) {
  const width = Math.max(120, Math.floor(canvas.clientWidth));
  const ratio = Math.min(3, window.devicePixelRatio || 1);
  const size = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return [context, width, height];
}

const drawn = new Set();

/** Draw a chart again whenever its size or the theme changes; return what must be called when it goes. */
export function redrawOn(canvas, draw) {
  const observer = new ResizeObserver(() => draw());
  observer.observe(canvas);
  drawn.add(draw);
  return () => {
    observer.disconnect();
    drawn.delete(draw);
  };
}

/** Draw all charts again: the theme has changed. */
export function redrawAll() {
  for (const draw of drawn) draw();
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redrawAll);
