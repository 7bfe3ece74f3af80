// All instruments at a glance; below them what microscopes and telescopes do.

import { el, keep, setData, setText } from "./dom.js";
import { count, duration, plain, short } from "./format.js";
import { figure, spark, stateChip } from "./pieces.js";
import { NightsView } from "./nights.js";
import { ScansView } from "./scans.js";
import { ageText, lagLevel, phaseOf } from "./states.js";

const ORDER = { running: 0, silent: 0, idle: 1 };

/** The first view of the page. */
export class Overview {
  constructor(known) {
    this.known = known;
    this.heading = el("h1", {}, "Instruments");
    this.told = el("p", { class: "soft" });
    this.list = el("ul", { class: "cards" });
    this.scans = new ScansView(known, "h2");
    this.nights = new NightsView(known, "h2");
    this.element = el(
      "div",
      {},
      el("section", { class: "part", "aria-label": "Instruments" }, this.heading, this.told, this.list),
      this.scans.element,
      this.nights.element,
    );
    this.title = "Runstart";
    this.instrument = null;
  }

  update() {
    const all = [...this.known.instruments.values()];
    const running = all.filter((instrument) => instrument.state !== "idle").length;
    const wrong = all.reduce((sum, instrument) => sum + instrument.alerts, 0);
    const troubles = wrong ? `${count(wrong)} ${wrong === 1 ? "thing is" : "things are"} wrong` : "nothing is wrong";
    const none = "No instrument is declared, or this token may read none.";
    setText(this.told, all.length ? `${running} of ${all.length} running, ${troubles}.` : none);
    keep(
      this.list,
      all.sort((a, b) => ORDER[a.state] - ORDER[b.state]), // those of one state stay as they are declared
      (instrument) => instrument.name,
      () => new InstrumentCard(this.known),
    );
    this.scans.update();
    this.nights.update();
  }

  release() {
    this.scans.release();
    this.nights.release();
  }
}

class InstrumentCard {
  constructor(known) {
    this.known = known;
    this.name = el("h2", { class: "cut" });
    this.chip = stateChip();
    this.title = el("p", { class: "soft small cut" });
    this.rate = figure("Events/s", null);
    this.events = figure("Events", null);
    this.lag = figure("Lag", null);
    this.figures = el("dl", { class: "pair" }, this.rate.element, this.events.element, this.lag.element);
    this.spark = spark();
    this.run = el("p", { class: "small cut" });
    this.alert = el("p", { class: "note" }, el("span", {}));
    this.card = el(
      "a",
      { class: "card" },
      el("header", {}, this.name, this.chip.element),
      this.title,
      this.figures,
      this.spark.element,
      this.run,
      this.alert,
    );
    this.element = el("li", {}, this.card);
  }

  update(instrument) {
    const isLive = instrument.state !== "idle";
    setText(this.name, instrument.name);
    setText(this.title, plain(instrument.title));
    this.title.hidden = !instrument.title;
    this.card.href = `#/instruments/${encodeURIComponent(instrument.name)}`;
    setData(this.card, "state", instrument.state);
    this.chip.show(phaseOf(instrument.state, instrument.phase));
    this.figures.hidden = !isLive;
    this.spark.element.toggleAttribute("hidden", !isLive);
    if (isLive) {
      this.rate.show(...short(instrument.events_per_second));
      this.events.show(...short(instrument.events));
      this.lag.show(...lagText(instrument.lag_seconds), lagLevel(instrument.lag_seconds));
      this.spark.show(this.known.rates.get(instrument.name) ?? []);
    }
    const age = isLive ? ageText(instrument.written_at, this.known.now()) : "";
    const run = instrument.run_name || instrument.run;
    setText(this.run, isLive ? `Run ${run}${age ? `, ${age}` : ""}` : run ? `Last run ${run}` : "No run yet");
    this.alert.hidden = !instrument.alert;
    const more = instrument.alerts > 1 ? ` And ${instrument.alerts - 1} more.` : "";
    if (instrument.alert) setText(this.alert.firstChild, instrument.alert.text + more);
  }
}

/** Return a lag as text and unit. */
export function lagText(seconds) {
  if (seconds === null || seconds === undefined) return ["–", ""];
  if (seconds < 100) return [seconds < 9.95 ? seconds.toFixed(1) : seconds.toFixed(0), "s"];
  return [duration(seconds), ""];
}
