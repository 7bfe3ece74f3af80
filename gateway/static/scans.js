// Microscopes: the scan that is being taken with its growing picture, and the newest ones.

import { el, keep, setText } from "./dom.js";
import { count, plain, time } from "./format.js";
import { FetchedPicture, stateChip } from "./pieces.js";
import { scanState } from "./states.js";

/** Microscopes and their scans. */
export class ScansView {
  constructor(known, heading = "h1") {
    this.known = known;
    this.list = el("ul", { class: "cards large" });
    this.empty = el("p", { class: "empty" }, "No microscope is declared, or this token may read none.");
    this.element = el("section", { class: "part", "aria-label": "Scans" }, el(heading, {}, "Scans"), this.empty, this.list);
    this.title = "Scans · Runstart";
    this.instrument = null;
    this.isPart = heading !== "h1";
  }

  update() {
    const all = [...this.known.microscopes.values()];
    this.element.hidden = this.isPart && !all.length;
    this.empty.hidden = all.length > 0;
    const most = this.isPart ? 3 : 12;
    const scans = all.flatMap(({ name, title, scans: known }) =>
      known.length ? known.slice(0, most) : [{ microscope: name, scan: "", title }],
    );
    keep(
      this.list,
      scans,
      (scan) => `${scan.microscope}/${scan.scan}`,
      () => new ScanCard(this.isPart ? "h3" : "h2"),
    );
  }

  release() {
    for (const part of this.list.keptParts?.values() ?? []) part.picture.release();
  }
}

class ScanCard {
  constructor(heading) {
    this.name = el(heading, {});
    this.chip = stateChip();
    this.picture = new FetchedPicture("");
    this.part = el("i", {});
    const range = { role: "progressbar", "aria-valuemin": "0", "aria-valuemax": "100" };
    this.bar = el("div", { class: "bar-part", "aria-label": "Part of the scan that has been seen", ...range }, this.part);
    this.told = el("p", { class: "soft small" });
    this.element = el(
      "li",
      { class: "card" },
      el("header", {}, this.name, this.chip.element),
      el("div", { class: "picture" }, this.picture.image),
      this.bar,
      this.told,
    );
  }

  update(scan) {
    setText(this.name, scan.scan || scan.microscope);
    if (!scan.scan) {
      this.chip.show(["○", "No scan yet", "idle"]);
      setText(this.told, plain(scan.title));
      this.bar.hidden = true;
      return;
    }
    this.chip.show(scanState(scan));
    const covered = Math.round(100 * scan.covered);
    this.part.style.width = `${covered}%`;
    this.bar.setAttribute("aria-valuenow", covered);
    this.bar.hidden = scan.state !== "taking";
    const speed = scan.state === "taking" ? `, ${count(scan.frames_per_second)} frames/s` : "";
    const at = scan.written_at ? `, ${time(scan.written_at)}` : "";
    const frames = `${count(scan.frames_seen)} of ${count(scan.frames_expected)} frames`;
    setText(this.told, `${scan.microscope}: ${scan.state === "found" ? "no frame has been counted yet" : frames + speed + at}`);
    this.picture.image.alt = `Overview of scan ${scan.scan}: ${covered} % seen`;
    const path = [scan.microscope, scan.scan].map(encodeURIComponent).join("/");
    if (scan.state === "found") return; // there is no picture yet
    this.picture.show(`/api/scans/${path}/pictures/overview.png`, `${scan.written_at} ${scan.ended}`);
  }
}
