// A table of numbers as a picture in colours, with axes and a bar that says what the colours mean.

import { Scale, prepare, textScale, themeColours, tickLabel } from "./axes.js";
import { Chart } from "./chart.js";
import { MAP, colourAt } from "./colours.js";
import { count, digits } from "./format.js";

const LEFT = 50;
const TOP = 8;
const BOTTOM = 40;
const BAR = 12;
const BAR_ROOM = 74;
const MOST_ROWS = 64;
const MOST_COLUMNS = 16;

/**
 * Shows `{rows, columns, values, isLog, rowName, columnName, rowsEach, columnsEach, unit, isSquare}`: row 0 is at the
 * bottom; null is a cell that nobody knows.
 */
export class Picture extends Chart {
  draw() {
    const colours = themeColours();
    const { rows, columns, values, isLog, isSquare } = this.data;
    const scale = textScale();
    const [left, below] = [LEFT * scale, BOTTOM * scale];
    const room = Math.max(80, this.canvas.clientWidth - left - BAR_ROOM * scale);
    const tallest = this.height * scale - TOP - below;
    const shape = (rows * this.data.rowsEach) / (columns * this.data.columnsEach);
    const inner = Math.max(60, isSquare ? Math.min(tallest, room * shape) : tallest);
    const [context] = prepare(this.canvas, Math.round(inner + TOP + below));
    const width = isSquare ? Math.min(room, inner / shape) : room;
    this.plot = { left, top: TOP, right: left + width, bottom: TOP + inner };
    const [low, high] = limits(values, isLog);
    this.colourScale = new Scale(low, high, 0, 1, isLog);
    context.imageSmoothingEnabled = false;
    context.drawImage(this.#cells(colours), this.plot.left, this.plot.top, width, inner);
    context.font = colours.font;
    this.#drawAxes(context, colours);
    this.#drawBar(context, colours);
    if (this.cursor !== null) this.#drawCursor(context, colours);
  }

  find(x, y) {
    if (!this.plot || x < this.plot.left || x > this.plot.right || y < this.plot.top || y > this.plot.bottom) return null;
    const { rows, columns } = this.data;
    const column = Math.min(columns - 1, Math.floor(((x - this.plot.left) / (this.plot.right - this.plot.left)) * columns));
    const row = Math.min(rows - 1, Math.floor(((this.plot.bottom - y) / (this.plot.bottom - this.plot.top)) * rows));
    return { row, column };
  }

  move(cursor, columns, rows) {
    if (cursor === null) return { row: Math.floor(this.data.rows / 2), column: Math.floor(this.data.columns / 2) };
    return {
      row: Math.max(0, Math.min(this.data.rows - 1, cursor.row + rows)),
      column: Math.max(0, Math.min(this.data.columns - 1, cursor.column + columns)),
    };
  }

  tell({ row, column }) {
    const { values, rows, columns, unit } = this.data;
    if (row >= rows || column >= columns) return "";
    return `${this.#placeText(row, column)}: ${digits(values[row * columns + column], 6)} ${unit}`;
  }

  summary() {
    const { values, columns, unit } = this.data;
    let best = 0;
    values.forEach((value, place) => {
      if ((value ?? -Infinity) > (values[best] ?? -Infinity)) best = place;
    });
    if (!values[best]) return "Nothing yet.";
    return `Highest: ${digits(values[best], 6)} ${unit} at ${this.#placeText(Math.floor(best / columns), best % columns)}.`;
  }

  #placeText(row, column) {
    const { rowName, columnName, rowsEach, columnsEach } = this.data;
    return `${rowName} ${span(row, rowsEach)}, ${columnName} ${span(column, columnsEach)}`;
  }

  rows() {
    const { rows, columns, values, rowName, columnName, rowsEach, columnsEach, unit } = this.data;
    const down = Math.max(1, Math.ceil(rows / MOST_ROWS));
    const across = Math.max(1, Math.ceil(columns / MOST_COLUMNS));
    const heads = [`${rowName} \\ ${columnName}`];
    for (let column = 0; column < columns; column += across) heads.push(span(column, columnsEach * across, columnsEach));
    const told = [];
    for (let row = rows - (rows % down || down); row >= 0; row -= down) {
      const cells = [span(row, rowsEach * down, rowsEach)];
      for (let column = 0; column < columns; column += across) {
        cells.push(digits(blockSum(values, rows, columns, row, column, down, across), 6));
      }
      told.push(cells);
    }
    return [`${this.name}: sums (${unit}) of blocks of ${down * rowsEach} × ${across * columnsEach}`, heads, told];
  }

  #cells(colours) {
    const { rows, columns, values } = this.data;
    const image = new ImageData(columns, rows);
    const empty = colours.grid.match(/[0-9a-f]{2}/gi)?.map((part) => parseInt(part, 16)) ?? [128, 128, 128];
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        const value = values[row * columns + column];
        const place = ((rows - 1 - row) * columns + column) * 4; // row 0 is at the bottom
        if (value === null) image.data.set(empty, place);
        else {
          const step = Math.round(this.colourScale.at(value) * 255) * 3;
          image.data[place] = MAP[step];
          image.data[place + 1] = MAP[step + 1];
          image.data[place + 2] = MAP[step + 2];
        }
        image.data[place + 3] = 255;
      }
    }
    const cells = new OffscreenCanvas(columns, rows);
    cells.getContext("2d").putImageData(image, 0, 0);
    return cells;
  }

  #drawAxes(context, colours) {
    const { rows, columns, rowName, columnName, rowsEach, columnsEach } = this.data;
    const { left, right, top, bottom } = this.plot;
    context.strokeStyle = colours.edge;
    context.lineWidth = 1;
    context.strokeRect(left - 0.5, top - 0.5, right - left + 1, bottom - top + 1);
    context.fillStyle = colours.soft;
    context.textBaseline = "top";
    context.textAlign = "center";
    const across = new Scale(0, columns * columnsEach, left, right);
    for (const tick of across.ticks(Math.max(2, Math.floor((right - left) / 80)))) {
      context.fillText(tickLabel(tick), across.at(tick), bottom + 6);
    }
    context.textAlign = "right";
    context.fillText(columnName, right, bottom + 22 * textScale());
    context.textBaseline = "middle";
    const up = new Scale(0, rows * rowsEach, bottom, top);
    for (const tick of up.ticks(Math.max(1, Math.floor((bottom - top) / 50)))) {
      context.fillText(tickLabel(tick), left - 7, up.at(tick));
    }
    context.textAlign = "left";
    context.textBaseline = "top";
    context.fillText(`${rowName} ↑`, 2, bottom + 22 * textScale());
  }

  #drawBar(context, colours) {
    const { right, top, bottom } = this.plot;
    const x = right + 12;
    for (let pixel = 0; pixel < bottom - top; pixel++) {
      context.fillStyle = colourAt(1 - pixel / (bottom - top));
      context.fillRect(x, top + pixel, BAR, 1.5);
    }
    const scale = new Scale(this.colourScale.low, this.colourScale.high, bottom, top, this.data.isLog);
    context.fillStyle = colours.soft;
    context.textAlign = "left";
    context.textBaseline = "middle";
    for (const tick of scale.ticks(Math.max(2, Math.floor((bottom - top) / 50)))) {
      context.fillText(tickLabel(tick), x + BAR + 6, Math.max(top + 6, Math.min(bottom - 6, scale.at(tick))));
    }
  }

  #drawCursor(context, colours) {
    const { left, right, top, bottom } = this.plot;
    const width = (right - left) / this.data.columns;
    const height = (bottom - top) / this.data.rows;
    const [x, y] = [left + this.cursor.column * width, bottom - (this.cursor.row + 1) * height];
    for (const [colour, line] of [
      [colours.surface, 4],
      [colours.ink, 2],
    ]) {
      context.strokeStyle = colour;
      context.lineWidth = line;
      context.strokeRect(x - 2, y - 2, width + 4, height + 4);
    }
  }
}

function limits(values, isLog) {
  let [low, high, least] = [Infinity, -Infinity, Infinity];
  for (const value of values) {
    if (value === null) continue;
    if (value < low) low = value;
    if (value > high) high = value;
    if (value > 0 && value < least) least = value;
  }
  if (high === -Infinity) return [0, 1];
  if (isLog && high > 0) return [Math.max(least, high * 1e-6), high];
  return [Math.min(0, low), high || 1];
}

function span(place, each, last = each) {
  return each === 1 ? count(place) : `${count(place * last)}–${count(place * last + each - 1)}`;
}

function blockSum(values, rows, columns, row, column, down, across) {
  let sum = 0;
  for (let y = row; y < Math.min(rows, row + down); y++) {
    for (let x = column; x < Math.min(columns, column + across); x++) sum += values[y * columns + x] ?? 0;
  }
  return sum;
}
