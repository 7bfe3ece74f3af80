// One instrument in full: its run as it happens, or one that is finished.

import { el, setText } from "./dom.js";
import { clock, digits, plain, short } from "./format.js";
import { LedgerPanel } from "./ledger.js";
import { LogsPanel } from "./logs.js";
import { Refused, ask, askJson } from "./net.js";
import { lagText } from "./overview.js";
import { figure, noteList, stateChip } from "./pieces.js";
import { ScriptPanel } from "./script.js";
import { ageText, lagLevel, phaseOf } from "./states.js";
import { DetectorPanel, RatePanel, SpectrumPanel } from "./views.js";

const FORMAT = 1; // of views.json
const RUNS_MS = 30_000;

/** The view of one instrument; with a run's key that run, otherwise the newest. */
export class InstrumentView {
  #etag = "";
  #viewsOf = "";
  #isAsking = false;
  #isWanted = false;
  #askAgainAt = 0;

  constructor(known, instrument, run, settings) {
    this.known = known;
    this.instrument = instrument;
    this.run = run;
    this.settings = settings;
    this.detail = null; // of a run that is not live
    this.views = null;
    this.title = `${instrument} · Runstart`;
    this.chip = stateChip();
    this.about = el("p", { class: "soft" });
    this.runs = el("select", { id: "runs", on: { change: () => this.#choose() } });
    this.link = el("a", { rel: "noreferrer", hidden: true }, "In Dagster");
    this.notes = el("ul", { class: "notes" });
    this.figures = Object.fromEntries(
      ["Events/s", "Events", "Lag", "Run time", "Proton charge"].map((name) => [name, figure(name)]),
    );
    const [detector, tof, rate] = [new DetectorPanel(), new SpectrumPanel(), new RatePanel()];
    const [logs, script, ledger] = [new LogsPanel(), new ScriptPanel(), new LedgerPanel()];
    this.parts = [detector, tof, rate, logs, script, ledger];
    this.element = el(
      "div",
      {},
      el(
        "div",
        { class: "run-head" },
        el("div", { class: "who" }, el("h1", {}, instrument, " ", this.chip.element), this.about),
        el("div", { class: "which" }, el("label", { for: "runs", class: "soft small" }, "Run"), this.runs, this.link),
      ),
      this.notes,
      el("dl", { class: "figures" }, ...Object.values(this.figures).map((each) => each.element)),
      el(
        "div",
        { class: "panels" },
        detector.element,
        el("div", { class: "side" }, tof.element, rate.element),
        logs.element,
        script.element,
        ledger.element,
      ),
    );
    this.#listRuns();
    this.timer = setInterval(() => this.#listRuns(), RUNS_MS);
    if (run) this.#askDetail();
  }

  update() {
    const live = this.known.run;
    const isLive = Boolean(live) && (!this.run || this.run === live.run);
    if (isLive) this.detail = live;
    else if (!this.run && live === null && this.detail?.status) this.#ended();
    else if (!this.run && live === null && this.detail === null && performance.now() >= this.#askAgainAt) this.#askDetail();
    if (this.detail) this.#show(this.detail, isLive);
  }

  release() {
    clearInterval(this.timer);
    for (const part of this.parts) part.release();
  }

  /** The run that was shown has ended: show what became of it. */
  #ended() {
    const run = this.detail.run;
    this.detail = { ...this.detail, status: null };
    this.#askDetail(run);
    this.#listRuns();
  }

  #show(detail, isLive) {
    const { status } = detail;
    const now = this.known.now();
    this.chip.show(phaseOf(detail.state));
    const age = isLive && status ? ageText(status.written_at, now) : "";
    const title = this.known.instruments.get(this.instrument)?.title;
    const name = detail.run_name || this.views?.run_name || detail.run;
    const about = [title && plain(title), `run ${name}`, age && `figures are ${age}`];
    setText(this.about, about.filter(Boolean).join(" · "));
    this.#showFigures(detail, isLive, now);
    const texts = [...detail.alerts.map((alert) => alert.text), ...(detail.shortcomings ?? [])];
    if (this.notes.dataset.texts !== texts.join("\n")) {
      this.notes.dataset.texts = texts.join("\n");
      this.notes.replaceChildren(...noteList(texts));
    }
    const page = this.settings.dagster_url && detail.dagster_run_id;
    this.link.hidden = !page;
    if (page) this.link.href = `${this.settings.dagster_url}/runs/${encodeURIComponent(detail.dagster_run_id)}`;
    for (const part of this.parts) part.tell?.(detail);
    const version = `${detail.run} ${status ? status.written_at : detail.digest}`;
    if (version !== this.#viewsOf) this.#askViews(version, detail.run);
  }

  #showFigures(detail, isLive, now) {
    const { status } = detail;
    const { events_counted: counted = 0, events_without_pixel: without = 0 } = detail.ledger;
    const events = status ? status.events_in_views : counted + without;
    this.figures["Events/s"].show(...(isLive ? short(status.events_per_second) : ["–", ""]));
    this.figures.Events.show(...short(events));
    const lag = isLive ? status.lag_seconds : null;
    this.figures.Lag.show(...lagText(lag), isLive ? lagLevel(lag) : "");
    const start = this.views?.run === detail.run ? this.views.start_time : null;
    const end = this.views?.stop_time ?? (isLive ? now : null);
    this.figures["Run time"].show(start && end ? clock(end - start) : "–");
    this.figures["Proton charge"].show(digits(detail.proton_charge_uah, 4), "µAh");
  }

  async #askDetail(run = this.run) {
    this.#askAgainAt = performance.now() + RUNS_MS;
    const path = run ? `runs/${encodeURIComponent(run)}` : "current";
    try {
      this.detail = await askJson(`/api/instruments/${encodeURIComponent(this.instrument)}/${path}`);
      this.update();
    } catch (error) {
      if (error instanceof Refused && error.status === 404) setText(this.about, error.message);
    }
  }

  async #askViews(version, run) {
    if (this.#isAsking) {
      this.#isWanted = true; // the newest is asked for when this answer is there
      return;
    }
    this.#isAsking = true;
    try {
      const headers = this.#etag && this.views?.run === run ? { "If-None-Match": this.#etag } : {};
      const path = `/api/instruments/${encodeURIComponent(this.instrument)}/runs/${encodeURIComponent(run)}/views`;
      const answer = await ask(path, { headers, cache: "no-store" });
      this.#viewsOf = version;
      if (answer.status !== 304) {
        this.#etag = answer.headers.get("ETag") ?? "";
        const views = { ...(await answer.json()), run };
        if (views.format !== FORMAT) throw new Refused(200, "These views are of another version.");
        this.views = views;
        for (const part of this.parts) part.show?.(views, this.detail);
      }
    } catch (error) {
      if (error instanceof Refused) this.#viewsOf = version; // nothing has been shown yet: the next status asks again
    } finally {
      this.#isAsking = false;
    }
    if (this.#isWanted) {
      this.#isWanted = false;
      this.update();
    }
  }

  async #listRuns() {
    try {
      const runs = await askJson(`/api/instruments/${encodeURIComponent(this.instrument)}/runs/?limit=30`);
      const told = JSON.stringify(runs);
      if (told === this.runs.dataset.told) return;
      this.runs.dataset.told = told; // an open list is left alone
      const listed = runs.map((each) => [each.run, each.run + (each.is_live ? " (live)" : "")]);
      if (this.run && !runs.some((each) => each.run === this.run)) listed.push([this.run, this.run]);
      const options = [["", "Newest"], ...listed];
      this.runs.replaceChildren(...options.map(([value, text]) => el("option", { value }, text)));
      this.runs.value = this.run ?? "";
    } catch {
      return; // asked again soon; the connection is told elsewhere
    }
  }

  #choose() {
    const run = this.runs.value;
    location.hash = `#/instruments/${encodeURIComponent(this.instrument)}${run ? `/${encodeURIComponent(run)}` : ""}`;
  }
}
