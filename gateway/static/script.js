// What the reduction script made and said.

import { makeSwitch } from "./chart.js";
import { Curve } from "./curve.js";
import { el, keep, setText } from "./dom.js";
import { digits, time } from "./format.js";
import { Picture } from "./picture.js";
import { FetchedPicture, panel } from "./pieces.js";

/** The curves, images, figures and words of the script. */
export class ScriptPanel {
  constructor() {
    this.list = el("div", { class: "small-charts" });
    this.figures = el("div", { class: "pictures" });
    this.about = el("p", { class: "soft small" });
    this.error = el("pre", { class: "wrong", hidden: true });
    this.output = el("pre", { tabindex: "0", "aria-label": "What the script printed" });
    this.empty = el("p", { class: "soft" }, "This run has no script, or it has not been executed yet.");
    this.printed = el("details", { open: true }, el("summary", {}, "What it printed"), this.output);
    const parts = [this.empty, this.about, this.error, this.list, this.figures, this.printed];
    this.panel = panel("Reduction script", "script", ...parts);
    this.element = this.panel.element;
  }

  show(views, detail) {
    const { script } = views;
    this.empty.hidden = Boolean(script);
    for (const part of [this.about, this.list, this.figures, this.printed]) part.hidden = !script;
    if (!script) return;
    const when = `executed at ${time(script.executed_at)} in ${digits(script.seconds, 2)} s`;
    setText(this.about, `Version ${script.sha256.slice(0, 10)}, ${when}, isolation: ${script.isolation || "none"}`);
    this.error.hidden = !script.error;
    setText(this.error, script.error);
    setText(this.output, script.output);
    this.printed.hidden = !script.output;
    keep(
      this.list,
      script.arrays,
      (array) => `${array.name} ${array.shape.length}`,
      (array) => new ArrayView(array),
    );
    const path = `/api/instruments/${encodeURIComponent(views.instrument)}/runs/${encodeURIComponent(detail.run)}/pictures`;
    keep(
      this.figures,
      script.figures.map((name) => ({ name, path: `${path}/${encodeURIComponent(name)}`, version: script.executed_at })),
      (figure) => figure.name,
      () => new FigureView(),
    );
  }

  release() {
    for (const part of this.list.keptParts?.values() ?? []) part.chart.release();
    for (const part of this.figures.keptParts?.values() ?? []) part.picture.release();
  }
}

class ArrayView {
  constructor(array) {
    this.array = array;
    this.isCurve = array.shape.length === 1;
    this.chart = this.isCurve ? new Curve(array.title, 260) : new Picture(array.title, 300);
    this.title = el("h3", {});
    this.log = makeSwitch(`log-script-${array.name}`, "log", array.log, () => this.#draw());
    this.element = el("div", {}, el("header", { class: "titled" }, this.title, this.log.element), this.chart.element);
  }

  update(array) {
    this.array = array;
    setText(this.title, array.title);
    this.#draw();
  }

  #draw() {
    const { axes, values, errors, unit, shape } = this.array;
    const isLog = this.log.isOn();
    if (this.isCurve) {
      const [x] = axes;
      const names = { xName: x.name, xUnit: x.unit || "–", yName: unit ? "" : "value", yUnit: unit };
      this.chart.show({ x: x.values, y: values, errors, isLog, ...names });
      return;
    }
    const [rows, columns] = axes;
    this.chart.show({
      rows: shape[0],
      columns: shape[1],
      values,
      isLog,
      rowName: rows.name,
      columnName: columns.name,
      rowsEach: 1,
      columnsEach: 1,
      unit: unit || "",
      isSquare: false,
    });
  }
}

class FigureView {
  constructor() {
    this.picture = new FetchedPicture("");
    this.caption = el("figcaption", {});
    this.element = el("figure", {}, this.picture.image, this.caption);
  }

  update(figure) {
    const name = figure.name.replace(/^script_/, "").replace(/\.png$/, "");
    setText(this.caption, name);
    this.picture.image.alt = `Figure ${name} of the reduction script`;
    this.picture.show(figure.path, figure.version);
  }
}
