// The ledger: what became of every message and every event that was read, and whether it adds up.

import { el } from "./dom.js";
import { count, words } from "./format.js";
import { panel, stateChip } from "./pieces.js";

const EVENTS = [
  "events_counted",
  "events_without_pixel",
  "events_before_start",
  "events_after_stop",
  "events_unknown_period",
  "events_unknown_detector",
  "events_out_of_tof_range",
  "events_duplicate",
];
const MESSAGES = ["messages_taken", "messages_duplicate", "messages_malformed", "messages_foreign"];
const REMARKS = ["missing_message_ids", "messages_unjudged", "source_restarts"];
// What is not nought here has cost data, or may have.
const WRONG = new Set([
  "messages_malformed",
  "messages_unjudged",
  "missing_message_ids",
  "events_unknown_period",
  "events_unknown_detector",
]);

/** The ledger of the run. */
export class LedgerPanel {
  constructor() {
    this.chip = stateChip();
    this.tables = el("div", { class: "columns" });
    this.panel = panel("Ledger", "ledger", this.tables);
    this.panel.more.append(this.chip.element);
    this.element = this.panel.element;
    this.told = "";
  }

  tell({ ledger }) {
    const text = JSON.stringify(ledger);
    if (text === this.told) return;
    this.told = text;
    const isRight = adds(ledger, "events_read", EVENTS) && adds(ledger, "messages_read", MESSAGES);
    this.chip.show(isRight ? ["✓", "Adds up", "good"] : ["▲", "Does not add up", "bad"]);
    this.tables.replaceChildren(
      ledgerTable("Events", ledger, EVENTS, "events_read"),
      el("div", {}, ledgerTable("Messages", ledger, MESSAGES, "messages_read"), ledgerTable("Gaps", ledger, REMARKS)),
    );
  }

  release() {}
}

function adds(ledger, total, columns) {
  return columns.reduce((sum, column) => sum + (ledger[column] ?? 0), 0) === (ledger[total] ?? 0);
}

function ledgerTable(caption, ledger, columns, total = null) {
  const row = (column, className) =>
    el(
      "tr",
      { class: className },
      el("th", { scope: "row" }, words(column).replace(/^(events|messages) /, "")),
      el("td", { class: "number" }, count(ledger[column] ?? 0)),
    );
  const rows = columns.map((column) => row(column, !ledger[column] ? "zero" : WRONG.has(column) ? "wrong" : null));
  if (total) rows.push(row(total, "sum"));
  return el("table", {}, el("caption", {}, caption), el("tbody", {}, ...rows));
}
