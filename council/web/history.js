// What was asked in this browser: bounded, and kept nowhere else.

import { ago, byId, count, el, fill, show } from "./dom.js";
import { confirmed } from "./dialog.js";
import { entry as read } from "./shape.js";

const MOST = 30; // verdicts
const LARGEST = 2_000_000; // characters of all
const SHOWN = 6;

let place = "council.history.default";
let all = false;

// History is kept for each tenant by itself: whoever else uses this browser with another key doesn't see it.
export function historyOf(tenant) {
  place = `council.history.${tenant}`;
}

export function entries() {
  try {
    const kept = JSON.parse(localStorage.getItem(place) ?? "[]");
    return Array.isArray(kept) ? kept.slice(0, MOST).flatMap((one) => { try { return [read(one)]; } catch { return []; } }) : [];
  } catch {
    return [];
  }
}

export function remember(entry) {
  let kept = [entry, ...entries()].slice(0, MOST);
  for (; kept.length; kept = kept.slice(0, -1)) {
    const text = JSON.stringify(kept);
    if (text.length > LARGEST && kept.length > 1) continue;
    try {
      localStorage.setItem(place, text);
      return;
    } catch {
      // the browser's store is full or shut: fewer are kept, or none
    }
  }
}

async function clear(open) {
  if (!(await confirmed("Clear the history?", "What was asked here is forgotten by this browser.", "Clear"))) return;
  localStorage.removeItem(place);
  showHistory(open);
}

// `open` is called with an entry to show again.
export function showHistory(open) {
  const kept = entries();
  const root = byId("history");
  show(root, kept.length > 0);
  const shown = all ? kept : kept.slice(0, SHOWN);
  fill(root,
    el("div", { class: "title" }, el("h2", { id: "history-title" }, "Asked before"), el("p", { class: "hint" }, "kept in this browser only"),
      el("button", { type: "button", class: "quiet", id: "clear-history", click: () => clear(open) }, "Clear")),
    el("ul", { class: "history" }, shown.map((entry) => el("li", {},
      el("button", { type: "button", click: () => open(entry) },
        el("span", { class: `dot is-${entry.verdict.status}`, "aria-hidden": "true" }),
        el("span", { class: "past-question" }, entry.question),
        el("span", { class: "past-answer" }, entry.verdict.status === "answered" ? entry.verdict.answer : entry.verdict.status),
        el("span", { class: "hint" }, ago(entry.asked_at)))))),
    kept.length > SHOWN && !all && el("button", { type: "button", class: "quiet", click: () => { all = true; showHistory(open); } }, `Show all ${count(kept.length, "question")}`));
}
