// Asks the gateway, with the token if there is one, and listens to what changes.

const TOKEN = "runstart-token";
const SILENCE_MS = 14_000; // the gateway says something every five seconds
const LONGEST_PAUSE_MS = 10_000;

/** The gateway wants a token, or another one. */
export class TokenNeeded extends Error {}

/** The gateway's answer is no success. */
export class Refused extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

/** The token, kept until the tab is closed, or on this device if its user wants that. */
export const token = {
  get: () => sessionStorage.getItem(TOKEN) ?? localStorage.getItem(TOKEN) ?? "",
  set: (text, isKept) => {
    token.forget();
    (isKept ? localStorage : sessionStorage).setItem(TOKEN, text);
  },
  forget: () => {
    for (const place of [sessionStorage, localStorage]) place.removeItem(TOKEN);
  },
};

/** Return the answer to a question; what is no success is raised. */
export async function ask(path, options = {}) {
  const headers = new Headers(options.headers ?? {});
  if (token.get()) headers.set("Authorization", `Bearer ${token.get()}`);
  const answer = await fetch(path, { ...options, headers, cache: options.cache ?? "no-cache", credentials: "omit" });
  if (answer.status === 401) throw new TokenNeeded("A token is needed.");
  if (!answer.ok && answer.status !== 304) throw new Refused(answer.status, await errorText(answer));
  return answer;
}

/** Return the JSON that a path answers. */
export async function askJson(path, options = {}) {
  return (await ask(path, options)).json();
}

/** Return an address of a picture, which must be let go with `URL.revokeObjectURL`. */
export async function askPicture(path) {
  return URL.createObjectURL(await (await ask(path)).blob());
}

/**
 * Listens to the gateway, and comes again when it is cut off: after a restart it says what it has seen.
 * EventSource cannot send a token, so the stream is read by fetch.
 */
export class Listener {
  #abort = new AbortController();
  #lastId = "";
  #isEnded = false;
  #pauseMs = 0;

  /**
   * @param {string} path of the stream
   * @param {(event: string, data: any) => void} onEvent takes each event
   * @param {(state: "live"|"lost"|"refused"|"unknown", error?: Error) => void} onState takes how the connection is
   */
  constructor(path, onEvent, onState) {
    this.path = path;
    this.onEvent = onEvent;
    this.onState = onState;
    this.#listen();
  }

  /** Listen no more. */
  end() {
    this.#isEnded = true;
    this.#abort.abort();
  }

  async #listen() {
    while (!this.#isEnded) {
      try {
        await this.#readOnce();
        this.#pauseMs = 0; // the gateway ends a stream now and then
      } catch (error) {
        if (this.#isEnded) return;
        if (error instanceof TokenNeeded || (error instanceof Refused && error.status === 404)) {
          this.onState(error instanceof TokenNeeded ? "refused" : "unknown", error);
          return;
        }
        this.onState("lost", error);
        this.#pauseMs = Math.min(LONGEST_PAUSE_MS, Math.max(500, this.#pauseMs * 1.7));
      }
      await new Promise((resolve) => setTimeout(resolve, this.#pauseMs * (0.75 + Math.random() / 2)));
    }
  }

  async #readOnce() {
    this.#abort = new AbortController();
    let watchdog = this.#watch();
    try {
      const headers = this.#lastId ? { "Last-Event-ID": this.#lastId } : {};
      const answer = await ask(this.path, { headers, signal: this.#abort.signal, cache: "no-store" });
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return;
        clearTimeout(watchdog);
        watchdog = this.#watch();
        this.#pauseMs = 0;
        this.onState("live");
        const blocks = (rest + value).split("\n\n");
        rest = blocks.pop();
        blocks.forEach((block) => this.#take(block));
      }
    } finally {
      clearTimeout(watchdog);
    }
  }

  #watch() {
    return setTimeout(() => this.#abort.abort(new Error("The gateway has fallen silent.")), SILENCE_MS);
  }

  #take(block) {
    const fields = {};
    for (const line of block.split("\n")) {
      const colon = line.indexOf(": ");
      if (colon > 0) fields[line.slice(0, colon)] = line.slice(colon + 2);
    }
    if (fields.id) this.#lastId = fields.id;
    if (fields.event) this.onEvent(fields.event, JSON.parse(fields.data));
  }
}

async function errorText(answer) {
  try {
    return (await answer.json()).error ?? answer.statusText;
  } catch {
    return answer.statusText;
  }
}
