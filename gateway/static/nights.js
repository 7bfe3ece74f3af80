// Telescopes: the pictures of the last night.

import { el, keep, setText } from "./dom.js";
import { count, digits, plain } from "./format.js";
import { FetchedPicture } from "./pieces.js";

/** Sites, each with the pictures of its newest night. */
export class NightsView {
  constructor(known, heading = "h1") {
    this.known = known;
    this.list = el("div", {});
    this.empty = el("p", { class: "empty" }, "No site is declared, or this token may read none.");
    const title = el(heading, {}, "Last night");
    this.element = el("section", { class: "part", "aria-label": "Nights" }, title, this.empty, this.list);
    this.title = "Nights · Runstart";
    this.instrument = null;
    this.isPart = heading !== "h1";
  }

  update() {
    const all = [...this.known.sites.values()];
    this.element.hidden = this.isPart && !all.some((site) => site.last);
    this.empty.hidden = all.length > 0;
    keep(
      this.list,
      all,
      (site) => site.name,
      () => new SiteView(this.isPart ? 8 : 24),
    );
  }

  release() {
    for (const part of this.list.keptParts?.values() ?? []) part.release();
  }
}

class SiteView {
  constructor(most) {
    this.most = most;
    this.told = el("p", { class: "soft" });
    this.pictures = el("div", { class: "pictures" });
    this.element = el("div", { class: "part" }, this.told, this.pictures);
  }

  update(site) {
    const night = site.last;
    const wrong = night?.troubles ? `, ${count(night.troubles)} could not be used or made` : "";
    const name = plain(site.title) || site.name;
    setText(
      this.told,
      night
        ? `${name}: the night of ${night.night}, ${count(night.exposures)} exposures${wrong}`
        : `${name}: no night has pictures yet.`,
    );
    const shown = (night?.products ?? []).slice(0, this.most);
    const products = shown.map((product) => ({ ...product, site: site.name, night: night.night }));
    keep(
      this.pictures,
      products,
      (product) => `${product.night} ${product.asset} ${product.number} ${product.name}`,
      () => new ProductView(),
    );
  }

  release() {
    for (const part of this.pictures.keptParts?.values() ?? []) part.picture.release();
  }
}

/** A picture that is small until it is pressed: the large ones of a night can be 100 MB together. */
class ProductView {
  constructor() {
    this.picture = new FetchedPicture("");
    this.caption = el("figcaption", {});
    this.button = el("button", { class: "bare", type: "button", "aria-pressed": "false" }, this.picture.image);
    this.button.addEventListener("click", () => this.#turn());
    this.element = el("figure", {}, this.button, this.caption);
  }

  update(product) {
    const { frames: number, exposure_s: seconds } = product.figures;
    const frames = number ? `, ${count(number)} × ${digits(seconds, 3)} s` : "";
    const kind = product.asset === "color_images" ? ", colour" : "";
    setText(this.caption, `${product.name}${kind}${frames}`);
    this.picture.image.alt = `${product.name}${kind}, large when it is pressed`;
    const path = [product.site, product.night, product.asset, product.number].map(encodeURIComponent).join("/");
    this.path = `/api/nights/${path}`;
    this.#show();
  }

  #turn() {
    this.element.classList.toggle("whole");
    this.#show();
  }

  #show() {
    const isLarge = this.element.classList.contains("whole");
    this.button.setAttribute("aria-pressed", isLarge);
    this.picture.show(`${this.path}/${isLarge ? "large" : "small"}.jpg`);
  }
}
