// The logs of a run: time series of its sample environment, each with its alarms.

import { timeUnit } from "./axes.js";
import { Curve } from "./curve.js";
import { el, keep, setText } from "./dom.js";
import { count, digits } from "./format.js";
import { panel, stateChip } from "./pieces.js";

const LONGEST_NAME = 16; // beside the name of the other axis
const SEVERITIES = {
  ok: ["●", "ok", "good"],
  minor: ["▲", "minor alarm", "warn"],
  major: ["▲", "major alarm", "bad"],
  invalid: ["◌", "invalid", "bad"],
  disconnected: ["◌", "disconnected", "bad"],
};

/** All logs, side by side. */
export class LogsPanel {
  constructor() {
    this.list = el("div", { class: "small-charts" });
    this.empty = el("p", { class: "soft" }, "This run has no logs yet.");
    this.panel = panel("Logs", "wide", this.empty, this.list);
    this.element = this.panel.element;
  }

  show(views) {
    this.empty.hidden = views.logs.length > 0;
    const end = Math.max(views.rate.seconds, ...views.logs.map((log) => log.seconds[log.seconds.length - 1]), 1);
    keep(
      this.list,
      views.logs.map((log) => ({ ...log, end })),
      (log) => log.name,
      (log) => new LogView(log),
    );
  }

  release() {
    for (const part of this.list.keptParts?.values() ?? []) part.chart.release();
  }
}

class LogView {
  constructor(log) {
    this.name = el("h3", {});
    this.chip = stateChip();
    this.value = el("span", {});
    this.unit = el("span", { class: "unit" });
    this.samples = el("span", { class: "soft small" });
    this.chart = new Curve(`Log ${log.name}`, 150);
    const now = el("span", { class: "log-value cut" }, this.value, this.unit);
    this.element = el(
      "div",
      {},
      el("header", { class: "titled" }, this.name, this.chip.element),
      el("p", { class: "titled" }, now, this.samples),
      this.chart.element,
    );
  }

  update(log) {
    setText(this.name, log.name);
    this.chip.show(SEVERITIES[log.last_severity] ?? SEVERITIES.invalid);
    const last = log.values[log.values.length - 1];
    const text = log.is_text ? last || "nothing known" : digits(last, 5);
    setText(this.value, text);
    setText(this.unit, log.unit);
    setText(this.samples, `${count(log.samples)} samples`);
    const [size, unit] = timeUnit(log.end);
    // A value holds until the next: of those from before the start the last is the value at the start.
    const first = Math.max(0, log.seconds.findLastIndex((second) => second <= 0));
    const shown = log.values.slice(first);
    const texts = log.is_text ? [...new Set(shown)].filter(Boolean).sort() : null;
    const values = texts ? shown.map((value) => (value ? texts.indexOf(value) : null)) : shown;
    const x = [...log.seconds.slice(first).map((second) => Math.max(0, second) / size), log.end / size];
    this.chart.show({
      x,
      y: values,
      xName: "time since start",
      xUnit: unit,
      yName: log.name.length > LONGEST_NAME ? "value" : log.name,
      yUnit: log.unit,
      isSeries: true,
      texts: texts?.length && texts.length <= 6 ? texts : null,
      bands: alarms(log.severity.slice(first), x),
    });
  }
}

function alarms(severity, x) {
  const bands = [];
  severity.forEach((level, place) => {
    if (level > 0) bands.push({ from: x[place], to: x[place + 1], level: level > 1 ? "bad" : "warn" });
  });
  return bands;
}
