// What every chart has: a canvas that is read by pointer and by keys, a line that says what is there, and a table behind.

import { redrawOn } from "./axes.js";
import { el, setText, table } from "./dom.js";

const STEPS = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, 1],
  ArrowDown: [0, -1],
  PageUp: [10, 0],
  PageDown: [-10, 0],
};

/** A canvas with its reading line and its table; subclasses draw. */
export class Chart {
  /**
   * @param {string} name of the chart, for screen readers
   * @param {number} height in CSS pixels
   */
  constructor(name, height) {
    this.name = name;
    this.height = height;
    this.data = null;
    this.cursor = null; // what is pointed at
    this.canvas = el("canvas", { role: "img", tabindex: "0", "aria-label": name });
    this.reading = el("p", { class: "read" });
    this.details = el("details", { on: { toggle: () => this.#fillTable() } }, el("summary", {}, "Values as a table"));
    this.element = el("div", { class: "chart" }, this.canvas, this.reading, this.details);
    this.canvas.addEventListener("pointermove", (event) => this.#point(this.find(event.offsetX, event.offsetY)));
    this.canvas.addEventListener("pointerleave", () => this.#point(null));
    this.canvas.addEventListener("keydown", (event) => this.#key(event));
    this.canvas.addEventListener("focus", () => this.reading.setAttribute("aria-live", "polite"));
    this.canvas.addEventListener("blur", () => {
      this.reading.removeAttribute("aria-live");
      this.#point(null);
    });
    this.release = redrawOn(this.canvas, () => this.redraw());
  }

  /** Show data from now on. */
  show(data) {
    this.data = data;
    this.redraw();
    if (this.details.open) this.#fillTable();
  }

  /** Draw what is shown now. */
  redraw() {
    if (this.data === null || this.canvas.clientWidth === 0) return;
    this.draw();
    this.canvas.setAttribute("aria-label", `${this.name}. ${this.summary()}`);
    setText(this.reading, this.cursor === null ? this.summary() : this.tell(this.cursor));
  }

  // What subclasses have: draw() draws data and cursor; find(x, y) returns the cursor at a pixel or null;
  // move(cursor, columns, rows) returns the next one; tell(cursor) and summary() return texts; rows() returns
  // [caption, heads, rows] of the table.

  #point(cursor) {
    this.cursor = cursor;
    this.redraw();
  }

  #key(event) {
    const step = STEPS[event.key];
    if (event.key === "Escape") this.#point(null);
    if (!step || this.data === null) return;
    event.preventDefault();
    this.#point(this.move(this.cursor, ...step));
  }

  #fillTable() {
    if (!this.details.open || this.data === null) return;
    const place = this.details.querySelector(".scroll");
    const scrolled = place?.scrollTop ?? 0;
    const about = { class: "scroll", tabindex: "0", role: "region", "aria-label": `${this.name}: values` };
    const box = el("div", about, table(...this.rows()));
    if (place) place.replaceWith(box);
    else this.details.append(box);
    box.scrollTop = scrolled;
  }
}

/** Return a switch, whose state is remembered under a name. */
export function makeSwitch(name, text, initial, onChange) {
  const box = el("input", { type: "checkbox" });
  box.checked = (localStorage.getItem(name) ?? String(initial)) === "true";
  box.addEventListener("change", () => {
    localStorage.setItem(name, String(box.checked));
    onChange(box.checked);
  });
  return { element: el("label", { class: "switch" }, box, text), isOn: () => box.checked };
}
