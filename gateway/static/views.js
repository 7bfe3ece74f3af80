// The panels of what was counted: detector banks, TOF spectrum, event rate.

import { timeUnit } from "./axes.js";
import { makeSwitch } from "./chart.js";
import { Curve } from "./curve.js";
import { el, keep, setText } from "./dom.js";
import { count, digits } from "./format.js";
import { Picture } from "./picture.js";
import { panel } from "./pieces.js";

const PICTURE_HEIGHT = 430;

/** The detector: each bank as a picture, or as a curve if it has one dimension. */
export class DetectorPanel {
  constructor() {
    this.banks = [];
    this.log = makeSwitch("log-detector", "log colours", true, () => this.#draw());
    this.list = el("div", { class: "detector-banks" });
    this.panel = panel("Detector", "detector", this.list);
    this.panel.more.append(this.log.element);
    this.element = this.panel.element;
  }

  show(views) {
    this.banks = views.banks;
    this.#draw();
  }

  #draw() {
    keep(
      this.list,
      this.banks,
      (bank) => `${bank.name} ${bank.rows}x${bank.columns}`,
      (bank) => new BankView(bank, () => this.log.isOn()),
    );
  }

  release() {
    for (const part of this.list.keptParts?.values() ?? []) part.chart.release();
  }
}

class BankView {
  constructor(bank, isLog) {
    this.isLog = isLog;
    this.isCurve = bank.shape.length === 1;
    const name = `Bank ${bank.name}`;
    this.chart = this.isCurve ? new Curve(name, 170) : new Picture(name, PICTURE_HEIGHT);
    this.caption = el("p", { class: "small soft" });
    this.element = el("div", { class: "bank" }, this.caption, this.chart.element);
  }

  update(bank) {
    const each = bank.rows_each * bank.columns_each;
    const unit = each === 1 ? "counts" : `counts in ${each} pixels`;
    setText(this.caption, `${bank.name}: ${bank.shape.map(count).join(" × ")} pixels, ${count(bank.total)} counts`);
    if (this.isCurve) {
      const first = bank.first_detector_id;
      const last = first + bank.shape[0];
      const x = bank.counts.map((_, place) => first + place * bank.columns_each);
      const y = bank.counts;
      const names = { xName: "detector id", xUnit: "number", yName: "counts", yUnit: "" };
      this.chart.show({ x: [...x, last], y, isLog: this.isLog(), ...names });
      return;
    }
    this.chart.show({
      rows: bank.rows,
      columns: bank.columns,
      values: bank.counts,
      isLog: this.isLog(),
      rowName: "row",
      columnName: "column",
      rowsEach: bank.rows_each,
      columnsEach: bank.columns_each,
      unit,
      isSquare: true,
    });
  }
}

/** The TOF spectrum. */
export class SpectrumPanel {
  constructor() {
    this.tof = null;
    this.log = makeSwitch("log-tof", "log", false, () => this.#draw());
    this.chart = new Curve("TOF spectrum", 340);
    this.panel = panel("TOF spectrum", "tof", this.chart.element);
    this.panel.more.append(this.log.element);
    this.element = this.panel.element;
  }

  show(views) {
    this.tof = views.tof;
    this.#draw();
  }

  #draw() {
    if (!this.tof) return;
    const { start_us: start, width_us: width, stop_us: stop, counts } = this.tof;
    const x = counts.map((_, place) => (start + place * width) / 1000);
    this.chart.show({
      x: [...x, stop / 1000],
      y: counts,
      xName: "time of flight",
      xUnit: "ms",
      yName: "counts",
      yUnit: `per ${digits(width, 4)} µs`,
      isLog: this.log.isOn(),
    });
  }

  release() {
    this.chart.release();
  }
}

/** Events a second over the run. */
export class RatePanel {
  constructor() {
    this.chart = new Curve("Event rate", 260);
    this.panel = panel("Event rate", "rate", this.chart.element);
    this.element = this.panel.element;
  }

  show(views) {
    const { seconds_each: each, seconds, events_per_second: rates } = views.rate;
    const [size, unit] = timeUnit(seconds);
    const x = rates.map((_, place) => (place * each) / size);
    const names = { xName: "time since start", xUnit: unit, yName: "events", yUnit: "per s" };
    this.chart.show({ x: [...x, Math.max(seconds, 1) / size], y: rates, ...names });
  }

  release() {
    this.chart.release();
  }
}
