// What is known of the facility now, and words for the states that things are in.

import { duration } from "./format.js";

export const FRESH_S = 10; // a run tells its figures every two seconds

/** What the gateway has told last; `now()` is the gateway's clock. */
export class Known {
  instruments = new Map();
  microscopes = new Map();
  sites = new Map();
  run = undefined; // of the instrument that is shown in full; null: its run has ended
  rates = new Map(); // of each instrument: the rates seen since the page was opened
  trouble = "";
  heardAt = 0;
  #ahead = 0;

  now() {
    return Date.now() / 1000 + this.#ahead;
  }

  /** Take an event of the stream. */
  take(event, data) {
    this.heardAt = Date.now() / 1000;
    if (event === "beat") this.#ahead = data.now - Date.now() / 1000;
    else if (event === "trouble") this.trouble = data.text;
    else if (event === "instrument") this.#takeInstrument(data);
    else if (event === "microscope") this.microscopes.set(data.name, data);
    else if (event === "site") this.sites.set(data.name, data);
    else if (event === "run") this.run = data;
  }

  #takeInstrument(data) {
    const before = this.instruments.get(data.name);
    this.instruments.set(data.name, data);
    if (data.written_at === null || before?.written_at === data.written_at) return;
    const rates = this.rates.get(data.name) ?? [];
    if (before && before.run !== data.run) rates.length = 0;
    rates.push(data.events_per_second);
    if (rates.length > 90) rates.shift();
    this.rates.set(data.name, rates);
  }
}

const PHASES = {
  counting: ["●", "Running", "good"],
  closing: ["◐", "Closing", "good"],
  finishing: ["◑", "Finishing", "good"],
  silent: ["◌", "Silent", "bad"],
  finished: ["■", "Finished", "idle"],
  unfinished: ["□", "No result yet", "warn"],
  idle: ["○", "Idle", "idle"],
};

/** Return sign, word and level of what an instrument or a run does. */
export function phaseOf(state, phase = null) {
  return PHASES[state === "running" ? (phase ?? "counting") : state] ?? PHASES.idle;
}

const SCAN_ENDS = { closed: "Incomplete", "broken off": "Broken off", stopped: "Stopped" };
const SCAN_STATES = {
  found: ["○", "Found", "idle"],
  taking: ["●", "Being taken", "good"],
  silent: ["◌", "Silent", "warn"],
  done: ["■", "Done", "idle"],
};

/** Return sign, word and level of a scan. */
export function scanState(scan) {
  if (scan.state !== "done" || !scan.ended || scan.ended === "complete") return SCAN_STATES[scan.state];
  return ["▲", SCAN_ENDS[scan.ended] ?? "Ended early", "warn"];
}

/** Return the level of a lag in seconds. */
export function lagLevel(seconds) {
  return seconds > 60 ? "bad" : seconds > 10 ? "warn" : "good";
}

/** Return how old a run's figures are, if that is worth telling; empty if they are fresh. */
export function ageText(writtenAt, now) {
  const age = now - writtenAt;
  return age > FRESH_S ? `${duration(age)} old` : "";
}
