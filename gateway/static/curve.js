// A curve with axes: steps between edges, or points with error bars; stretches in other colours behind it.

import { Scale, prepare, textScale, themeColours, tickLabel } from "./axes.js";
import { Chart } from "./chart.js";
import { count, digits } from "./format.js";

const LEFT = 62;
const RIGHT = 14;
const TOP = 10;
const BOTTOM = 40;
const MOST_ROWS = 200;

/**
 * Shows `{x, y, xName, xUnit, yName, yUnit, isLog, isSeries, errors, bands, texts}`: x are n + 1 edges or n places of n
 * values; null is a gap. `bands` are `{from, to, level}`. With `texts` y are places in them. A series need not begin at 0.
 */
export class Curve extends Chart {
  draw() {
    const colours = themeColours();
    const scale = textScale();
    const [context, width, height] = prepare(this.canvas, this.height * scale);
    const { x, y } = this.data;
    const plot = { left: LEFT * scale, right: width - RIGHT, top: TOP, bottom: height - BOTTOM * scale };
    this.plot = plot;
    this.across = new Scale(x[0] ?? 0, x[x.length - 1] ?? 1, plot.left, plot.right);
    this.up = this.#upScale(plot);
    context.font = colours.font;
    this.#drawBands(context, plot, colours);
    this.#drawGrid(context, plot, colours);
    context.save();
    context.beginPath();
    context.rect(plot.left, plot.top - 2, plot.right - plot.left, plot.bottom - plot.top + 4);
    context.clip();
    if (this.data.errors) this.#drawErrors(context, colours);
    this.#drawLine(context, plot, colours);
    context.restore();
    if (this.cursor !== null && this.cursor < y.length) this.#drawCursor(context, plot, colours);
  }

  find(x) {
    if (!this.plot || x < this.plot.left - 6 || x > this.plot.right + 6 || !this.data.y.length) return null;
    return this.#nearest(this.across.value(x));
  }

  move(cursor, columns, rows) {
    const last = this.data.y.length - 1;
    if (last < 0) return null;
    return cursor === null ? (columns + rows > 0 ? 0 : last) : Math.max(0, Math.min(last, cursor + columns + rows));
  }

  tell(cursor) {
    const { y, xName, yName, xUnit, yUnit, errors } = this.data;
    const at = this.#place(cursor);
    const error = errors?.[cursor] ? ` ± ${digits(errors[cursor], 3)}` : "";
    return `${xName} ${digits(at, 5)} ${xUnit}: ${this.#valueText(y[cursor])}${error} ${yUnit || yName}`.trim();
  }

  summary() {
    const known = this.data.y.filter((value) => value !== null);
    if (!known.length) return "Nothing yet.";
    if (this.data.texts) return `Now: ${this.#valueText(known[known.length - 1])}.`;
    const [low, high] = range(known);
    const now = known[known.length - 1];
    const span = `between ${digits(low, 5)} and ${digits(high, 5)}`;
    if (this.data.isSeries) return `Now ${[digits(now, 5), this.data.yUnit].filter(Boolean).join(" ")}, ${span}.`;
    const top = this.data.y.indexOf(high);
    return `Highest: ${digits(high, 5)} at ${digits(this.#place(top), 4)} ${this.data.xUnit}.`;
  }

  rows() {
    const { y, xName, xUnit, yName, yUnit, errors } = this.data;
    const every = Math.max(1, Math.ceil(y.length / MOST_ROWS));
    const caption = every > 1 ? `${this.name}: every ${every}th of ${count(y.length)} values` : this.name;
    const heads = [`${xName} (${xUnit})`, yUnit ? `${yName} (${yUnit})` : yName, ...(errors ? ["error"] : [])];
    const rows = [];
    for (let place = 0; place < y.length; place += every) {
      rows.push([digits(this.#place(place), 6), this.#valueText(y[place]), ...(errors ? [digits(errors[place], 3)] : [])]);
    }
    return [caption, heads, rows];
  }

  #upScale(plot) {
    const known = this.data.y.filter((value) => value !== null);
    if (this.data.texts) return new Scale(-0.5, this.data.texts.length - 0.5, plot.bottom, plot.top);
    let [low, high] = known.length ? range(known) : [0, 1];
    if (this.data.isLog && high > 0) {
      const lowest = known.filter((value) => value > 0).reduce((least, value) => Math.min(least, value), high);
      return new Scale(lowest / 1.6, high * 1.6, plot.bottom, plot.top, true);
    }
    const isFromZero = low >= 0 && !this.data.isSeries;
    const room = (high - low || Math.abs(high) || 1) * 0.08;
    return new Scale(isFromZero ? 0 : low - room, high + room, plot.bottom, plot.top);
  }

  #drawBands(context, plot, colours) {
    for (const band of this.data.bands ?? []) {
      context.fillStyle = band.level === "bad" ? colours.bad : colours.warn;
      const from = this.across.at(band.from);
      context.fillRect(from, plot.top, Math.max(1, this.across.at(band.to) - from), plot.bottom - plot.top);
    }
  }

  #drawGrid(context, plot, colours) {
    const { texts, xName, xUnit, yName, yUnit } = this.data;
    context.lineWidth = 1;
    context.strokeStyle = colours.grid;
    context.fillStyle = colours.soft;
    context.textBaseline = "middle";
    context.textAlign = "right";
    const most = Math.max(2, Math.floor((plot.bottom - plot.top) / 36));
    const ticks = texts ? texts.map((_, place) => place) : this.up.ticks(most);
    const top = Math.max(...ticks.map(Math.abs), 0);
    const label = (tick) => (this.up.isLog ? tickLabel(tick) : tickLabel(tick, top, ticks[1] - ticks[0]));
    for (const tick of ticks) {
      const y = Math.round(this.up.at(tick)) + 0.5;
      line(context, plot.left, y, plot.right, y);
      context.fillText(texts ? texts[tick].slice(0, 9) : label(tick), plot.left - 8, y);
    }
    context.textAlign = "center";
    context.textBaseline = "top";
    for (const tick of this.across.ticks(Math.max(2, Math.floor((plot.right - plot.left) / 90)))) {
      const x = Math.round(this.across.at(tick)) + 0.5;
      line(context, x, plot.bottom, x, plot.bottom + 4);
      context.fillText(tickLabel(tick), x, plot.bottom + 7);
    }
    context.textAlign = "right";
    context.fillText(`${xName} (${xUnit})`, plot.right, plot.bottom + 23 * textScale());
    if (!texts) {
      context.textAlign = "left";
      context.fillText(yUnit ? `${yName} (${yUnit})` : yName, 4, plot.bottom + 23 * textScale());
    }
    context.strokeStyle = colours.edge;
    line(context, plot.left, plot.bottom + 0.5, plot.right, plot.bottom + 0.5);
  }

  #drawLine(context, plot, colours) {
    const { x, y } = this.data;
    const hasEdges = x.length === y.length + 1;
    context.strokeStyle = colours.curve;
    context.lineWidth = 1.6;
    context.lineJoin = "round";
    const path = new Path2D();
    let isDown = false;
    for (let place = 0; place < y.length; place++) {
      if (y[place] === null) {
        isDown = false;
        continue;
      }
      const height = this.up.at(y[place]);
      const from = this.across.at(x[place]);
      if (isDown) path.lineTo(from, height);
      else path.moveTo(from, height);
      if (hasEdges) path.lineTo(this.across.at(x[place + 1]), height);
      isDown = true;
    }
    if (hasEdges && !this.data.texts && !this.data.isSeries && y.every((value) => value !== null)) {
      const under = new Path2D(path);
      under.lineTo(plot.right, plot.bottom);
      under.lineTo(plot.left, plot.bottom);
      context.fillStyle = colours.fill;
      context.fill(under);
    }
    context.stroke(path);
  }

  #drawErrors(context, colours) {
    const { x, y, errors } = this.data;
    context.strokeStyle = colours.edge;
    context.lineWidth = 1;
    for (let place = 0; place < y.length; place++) {
      if (y[place] === null || !errors[place]) continue;
      const at = this.across.at(x.length === y.length ? x[place] : (x[place] + x[place + 1]) / 2);
      line(context, at, this.up.at(y[place] - errors[place]), at, this.up.at(y[place] + errors[place]));
    }
  }

  #drawCursor(context, plot, colours) {
    const value = this.data.y[this.cursor];
    const x = this.across.at(this.#place(this.cursor));
    context.strokeStyle = colours.ink;
    context.lineWidth = 1;
    context.setLineDash([4, 4]);
    line(context, x, plot.top, x, plot.bottom);
    context.setLineDash([]);
    if (value === null) return;
    context.beginPath();
    context.arc(x, this.up.at(value), 4.5, 0, 2 * Math.PI);
    context.fillStyle = colours.surface;
    context.fill();
    context.strokeStyle = colours.curve;
    context.lineWidth = 2.5;
    context.stroke();
  }

  #place(cursor) {
    const { x, y } = this.data;
    return x.length === y.length + 1 ? (x[cursor] + x[cursor + 1]) / 2 : x[cursor];
  }

  #nearest(value) {
    let best = 0;
    const last = this.data.y.length - 1;
    for (let place = 1; place <= last; place++) {
      if (Math.abs(this.#place(place) - value) < Math.abs(this.#place(best) - value)) best = place;
    }
    return best;
  }

  #valueText(value) {
    if (value === null || value === undefined) return "nothing known";
    return this.data.texts ? this.data.texts[value] : digits(value, 6);
  }
}

function range(values) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

function line(context, x0, y0, x1, y1) {
  context.beginPath();
  context.moveTo(x0, y0);
  context.lineTo(x1, y1);
  context.stroke();
}
