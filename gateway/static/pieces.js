// Small parts that several views have: states, figures, sparks, panels, pictures.

import { el, setData, setText, svg } from "./dom.js";
import { askPicture } from "./net.js";

/** A state in words, with a sign for who sees no colours. */
export function stateChip() {
  const sign = el("span", { "aria-hidden": "true" });
  const word = el("span", {});
  const element = el("span", { class: "state" }, sign, word);
  return {
    element,
    show([mark, text, level]) {
      setText(sign, mark);
      setText(word, text);
      setData(element, "level", level);
    },
  };
}

/** A large number with its name and unit; in a list of class `pair` it has no frame. */
export function figure(name, className = "figure") {
  const value = el("span", {});
  const unit = el("span", { class: "unit" });
  const element = el("div", { class: className }, el("dt", {}, name), el("dd", {}, value, unit));
  return {
    element,
    show(text, unitText = "", level = "") {
      setText(value, text);
      setText(unit, unitText);
      setData(element, "level", level);
    },
  };
}

/** A curve of a few numbers, without axes: it says whether something goes up or down. */
export function spark() {
  const line = svg("path", {});
  const under = svg("path", { class: "under" });
  const about = { class: "spark", viewBox: "0 0 100 20", preserveAspectRatio: "none", "aria-hidden": "true" };
  const element = svg("svg", about, under, line);
  return {
    element,
    show(values) {
      const top = Math.max(...values, 1e-9);
      const step = 100 / Math.max(1, values.length - 1);
      const points = values.map((value, place) => `${(place * step).toFixed(2)},${(19 - (17 * value) / top).toFixed(2)}`);
      const path = values.length > 1 ? `M${points.join("L")}` : "";
      line.setAttribute("d", path);
      under.setAttribute("d", path ? `${path}L100,20L0,20Z` : "");
    },
  };
}

/** A panel with a heading, what stands beside it, and its content. */
export function panel(title, className, ...content) {
  const more = el("div", { class: "more" });
  const heading = el("h2", {}, title);
  const head = el("header", {}, heading, more);
  const element = el("section", { class: `panel ${className}`, "aria-label": title }, head, ...content);
  return { element, more, heading };
}

/** Notes of what is wrong. */
export function noteList(texts) {
  return texts.map((text) => el("li", { class: "note" }, el("span", {}, text)));
}

/** A picture of the gateway, which may need a token, so that it is fetched and not linked. */
export class FetchedPicture {
  #shown = "";
  #address = "";

  constructor(alt) {
    this.image = el("img", { alt, loading: "lazy", decoding: "async" });
    this.image.hidden = true;
  }

  /** Show a picture, if it is another one or has another version. */
  async show(path, version = "") {
    const wanted = `${path} ${version}`;
    if (wanted === this.#shown) return;
    this.#shown = wanted;
    try {
      const address = await askPicture(path);
      if (wanted !== this.#shown) {
        URL.revokeObjectURL(address);
        return;
      }
      this.release();
      this.#shown = wanted;
      this.#address = address;
      this.image.src = address;
      this.image.hidden = false;
    } catch {
      this.#shown = ""; // there is none yet, or the gateway is away: tried again when something changes
    }
  }

  /** Let the picture go. */
  release() {
    if (this.#address) URL.revokeObjectURL(this.#address);
    this.#address = "";
    this.#shown = "";
  }
}
