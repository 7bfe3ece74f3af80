// Numbers, times and durations as people read them.

const whole = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 0 });

/** Return a whole number with its thousands apart. */
export function count(value) {
  return value === null || value === undefined ? "–" : whole.format(value);
}

/** Return a number of three or four digits and its prefix: 12.3 and "k". */
export function short(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return ["–", ""];
  const steps = [
    [1e12, "T"],
    [1e9, "G"],
    [1e6, "M"],
    [1e4, "k"],
  ];
  for (const [limit, prefix] of steps) {
    if (Math.abs(value) >= limit) {
      const unit = prefix === "k" ? 1e3 : limit;
      return [digits(value / unit, 3), prefix];
    }
  }
  return [Math.abs(value) >= 100 || Number.isInteger(value) ? whole.format(value) : digits(value, 3), ""];
}

/** Return a number with so many significant digits, without an exponent where it is of a usual size. */
export function digits(value, significant = 4) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e7 || size < 1e-4) return value.toExponential(Math.max(0, significant - 2)).replace("e+", "e");
  const places = Math.max(0, significant - 1 - Math.floor(Math.log10(size)));
  return new Intl.NumberFormat("en-GB", { maximumFractionDigits: places }).format(value);
}

/** Return seconds as a duration of at most two units: "3 min 20 s". */
export function duration(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "–";
  const rounded = Math.max(0, seconds);
  if (rounded < 10) return `${rounded.toFixed(1)} s`;
  if (rounded < 60) return `${Math.floor(rounded)} s`;
  if (rounded < 3600) return `${Math.floor(rounded / 60)} min ${Math.floor(rounded % 60)} s`;
  if (rounded < 86400) return `${Math.floor(rounded / 3600)} h ${Math.floor((rounded % 3600) / 60)} min`;
  return `${Math.floor(rounded / 86400)} d ${Math.floor((rounded % 86400) / 3600)} h`;
}

/** Return a running time like a clock: 1:02:07. */
export function clock(seconds) {
  const rounded = Math.max(0, Math.floor(seconds));
  const parts = [Math.floor((rounded % 3600) / 60), rounded % 60].map((part) => String(part).padStart(2, "0"));
  return `${Math.floor(rounded / 3600)}:${parts.join(":")}`;
}

/** Return a time of day in the browser's zone, with the date if it is not today. */
export function time(seconds) {
  const at = new Date(seconds * 1000);
  const isToday = at.toDateString() === new Date().toDateString();
  const day = isToday ? "" : `${at.toLocaleDateString("en-GB", { day: "numeric", month: "short" })}, `;
  return day + at.toLocaleTimeString("en-GB");
}

/** Return a text of a declaration without the marks of code that Dagster's pages show as such. */
export function plain(text) {
  return text.replaceAll("`", "");
}

/** Return a name of the code as words: events_in_views becomes "events in views". */
export function words(name) {
  return name.replaceAll("_", " ");
}
