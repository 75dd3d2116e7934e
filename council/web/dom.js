// Elements made from text nodes alone: nothing that a document or a model wrote is ever parsed as markup.

// An element; attributes whose value is a function are listeners, null and false leave an attribute or a child out.
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") made.addEventListener(name, value);
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

export const byId = (id) => document.getElementById(id);

export function fill(parent, ...children) {
  parent.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
}

export function show(element, whether) {
  element.hidden = !whether;
}

export const percent = (share) => `${Math.round(share * 100)}%`;

export function seconds(value) {
  if (value < 0.001) return "0 ms";
  return value < 0.1 ? `${Math.max(1, Math.round(value * 1000))} ms` : `${value.toFixed(value < 10 ? 2 : 1)} s`;
}

export const count = (number, noun, plural = `${noun}s`) => `${number} ${number === 1 ? noun : plural}`;

export function list(names) {
  return names.length > 1 ? `${names.slice(0, -1).join(", ")} and ${names.at(-1)}` : names.join("");
}

export function bytes(size) {
  const units = ["bytes", "KiB", "MiB", "GiB"];
  const unit = size < 1024 ? 0 : Math.min(3, Math.floor(Math.log2(size) / 10));
  const number = size / 1024 ** unit;
  return `${number.toFixed(unit && number < 10 && number % 1 ? 1 : 0)} ${units[unit]}`;
}

// When something was.
export function ago(time, now = Date.now()) {
  const past = Math.max(0, (now - time) / 1000);
  const words = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
  for (const [unit, size] of [["day", 86400], ["hour", 3600], ["minute", 60]]) {
    if (past >= size) return words.format(-Math.floor(past / size), unit);
  }
  return "just now";
}
