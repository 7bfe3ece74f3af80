// Makes elements. Texts are always text: nothing that comes from data is ever read as HTML.

/**
 * Return a new element.
 * @param {string} name of the element
 * @param {object} attributes by name; `class`, `dataset` and `on` (listeners by event) too; null leaves one out
 * @param {...(Node|string|number|null)} children texts or nodes
 */
export function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key === "dataset") Object.assign(element.dataset, value);
    else if (key === "on") for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    else element.setAttribute(key, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined).map(asNode));
  return element;
}

/** Return a new SVG element. */
export function svg(name, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  element.append(...children);
  return element;
}

/** Set the text of an element if it is another one, so that screen readers and selections are left alone. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Set a data attribute if it is another one. */
export function setData(element, name, value) {
  if (element.dataset[name] !== value) element.dataset[name] = value;
}

/**
 * Make the children of a list those of the items, by key: what is there stays, so that focus and scroll stay too.
 * @param {Element} list the parent
 * @param {Array} items in order
 * @param {(item) => string} keyOf key of an item
 * @param {(item) => {element: Element, update: (item) => void}} make makes the part of an item
 */
export function keep(list, items, keyOf, make) {
  const parts = (list.keptParts ??= new Map());
  const wanted = new Set(items.map(keyOf));
  for (const [key, part] of parts) {
    if (!wanted.has(key)) {
      part.element.remove();
      parts.delete(key);
    }
  }
  items.forEach((item, place) => {
    const key = keyOf(item);
    if (!parts.has(key)) parts.set(key, make(item));
    const part = parts.get(key);
    part.update(item);
    if (list.children[place] !== part.element) list.insertBefore(part.element, list.children[place] ?? null);
  });
}

/** Return a table with a caption. */
export function table(caption, heads, rows) {
  const head = (text, column) => el("th", { scope: "col", class: column ? "number" : null }, text);
  const cell = (text, column) => (column ? el("td", { class: "number" }, text) : el("th", { scope: "row" }, text));
  return el(
    "table",
    {},
    el("caption", {}, caption),
    el("thead", {}, el("tr", {}, ...heads.map(head))),
    el("tbody", {}, ...rows.map((row) => el("tr", {}, ...row.map(cell)))),
  );
}

function asNode(child) {
  return child instanceof Node ? child : document.createTextNode(String(child));
}
