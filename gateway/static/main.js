// Puts the page together: which view is shown, the theme, the token, and what is said of the connection.

import { redrawAll } from "./axes.js";
import { el, setData, setText } from "./dom.js";
import { duration, time } from "./format.js";
import { InstrumentView } from "./instrument.js";
import { Listener, askJson, token } from "./net.js";
import { NightsView } from "./nights.js";
import { Overview } from "./overview.js";
import { ScansView } from "./scans.js";
import { Known } from "./states.js";

const OLD_S = 6; // without a word from the gateway, what is shown is called old
const TICK_MS = 250;
const THEMES = ["auto", "light", "dark"];
const CONNECTIONS = {
  connecting: "Connecting",
  live: "Live",
  lost: "Not connected",
  refused: "Token needed",
  unknown: "Nothing here",
};

const known = new Known();
const main = document.getElementById("main");
const connection = document.getElementById("connection");
const old = document.getElementById("old");
const told = document.getElementById("told");
let settings = { needs_token: false, dagster_url: "" };
let view = null;
let listener = null;
let isUpdateWanted = false;

function makeView() {
  const parts = location.hash.replace(/^#\//, "").split("/").map(decodeURIComponent);
  if (parts[0] === "instruments" && parts[1]) return new InstrumentView(known, parts[1], parts[2] || null, settings);
  if (parts[0] === "scans") return new ScansView(known);
  if (parts[0] === "nights") return new NightsView(known);
  return new Overview(known);
}

function route() {
  view?.release();
  known.run = undefined;
  view = makeView();
  document.title = view.title;
  main.replaceChildren(view.element);
  const part = view instanceof ScansView ? "scans" : view instanceof NightsView ? "nights" : "instruments";
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.part === part) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  listen();
  view.update();
}

function listen() {
  listener?.end();
  const query = view.instrument ? `?instrument=${encodeURIComponent(view.instrument)}` : "";
  listener = new Listener(`/api/events${query}`, takeEvent, takeState);
}

function takeEvent(event, data) {
  const before = event === "instrument" ? known.instruments.get(data.name) : null;
  known.take(event, data);
  if (before && before.state !== data.state) say(`${data.name} is ${data.state} now.`);
  if (before && data.alert && before.alert?.kind !== data.alert.kind) say(`${data.name}: ${data.alert.text}`);
  if (event !== "beat") isUpdateWanted = true; // drawn at the next tick, however many come at once
}

function takeState(state, error) {
  if (connection.dataset.state !== state && (state === "lost" || connection.dataset.state === "lost")) {
    say(state === "lost" ? "The connection is lost." : "Connected again.");
  }
  setData(connection, "state", state);
  setText(connection.lastElementChild, CONNECTIONS[state]);
  if (state === "unknown") showNothing(error.message);
  if (state === "refused") askForToken(token.get() ? "This token is not known, or its time is over." : "");
}

function showNothing(text) {
  view?.release();
  view = null;
  main.replaceChildren(el("h1", {}, "Nothing here"), el("p", { class: "empty" }, text));
}

/** Say a sentence to who listens to the page: only when something has changed that matters. */
function say(text) {
  setText(told, text);
}

function tick() {
  const silence = Date.now() / 1000 - known.heardAt;
  const isOld = view !== null && known.heardAt > 0 && silence > OLD_S;
  document.documentElement.classList.toggle("is-old", isOld);
  old.hidden = !isOld && !known.trouble;
  const ago = silence < 60 ? `${Math.floor(silence)} s` : duration(silence);
  if (isOld) setText(old, `Not connected: what you see is of ${time(known.heardAt)}, ${ago} ago. Trying to connect again.`);
  else if (known.trouble) setText(old, `${known.trouble} What you see may be old.`);
  if (view && (isUpdateWanted || isOld || view.instrument)) view.update();
  isUpdateWanted = false;
}

function askForToken(text) {
  listener?.end();
  view?.release();
  view = null;
  const kept = el("input", { type: "checkbox" });
  const input = el("input", { type: "password", id: "token", autocomplete: "off", required: true, spellcheck: "false" });
  const form = el(
    "form",
    {
      class: "panel ask",
      on: {
        submit: (event) => {
          event.preventDefault();
          token.set(input.value.trim(), kept.checked);
          start();
        },
      },
    },
    el("h1", {}, "Who are you?"),
    el("p", {}, "This gateway shows its data to those who have a token. It is kept until you close this tab."),
    el("label", { for: "token" }, "Token"),
    input,
    el("label", { class: "switch" }, kept, "Keep it on this device, such as the screen of a hutch"),
    text ? el("p", { class: "wrong", role: "alert" }, text) : null,
    el("button", { class: "main", type: "submit" }, "Show the data"),
  );
  main.replaceChildren(form);
  input.focus();
}

function setTheme(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  localStorage.setItem("theme", theme);
  setText(document.getElementById("theme"), `Theme: ${theme}`);
  redrawAll();
}

async function start() {
  try {
    settings = await askJson("/page/settings");
  } catch {
    takeState("lost");
    setTimeout(start, 2000);
    return;
  }
  document.getElementById("forget").hidden = !token.get();
  if (settings.needs_token && !token.get()) askForToken("");
  else route();
}

document.getElementById("theme").addEventListener("click", () => {
  const now = localStorage.getItem("theme") ?? "auto";
  setTheme(THEMES[(THEMES.indexOf(now) + 1) % THEMES.length]);
});
document.getElementById("forget").addEventListener("click", () => {
  token.forget();
  location.reload();
});
addEventListener("hashchange", () => {
  if (connection.dataset.state === "refused") return;
  route();
  main.focus();
});
setTheme(THEMES.includes(localStorage.getItem("theme")) ? localStorage.getItem("theme") : "auto");
setInterval(tick, TICK_MS);
start();
