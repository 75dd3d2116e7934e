// The passages that the members read, with the answer marked, and where each comes from.

import { byId, count, el, fill, list, show } from "./dom.js";
import { marked } from "./mark.js";
import { colours, NOT_KNOWN } from "./vote.js";

const ORIGINS = {
  human: ["written by a person", ""],
  machine: ["written by a model", "A model wrote this text."],
  council: ["said by this council", "This text repeats what the council itself once said."],
  unknown: ["origin unknown", ""],
};

export function origin(provenance) {
  const [label, why] = ORIGINS[provenance.origin] ?? ORIGINS.unknown;
  return el("span", { class: `origin is-${provenance.origin}`, title: why || null }, label);
}

function facts(provenance) {
  const rows = [
    ["Source", provenance.source], ["Author", provenance.author], ["Date", provenance.date], ["Licence", provenance.licence],
    ["Language", provenance.language], ["Document", provenance.document && provenance.document.slice(0, 16)],
    ...Object.entries(provenance.details ?? {}).map(([name, said]) => [name, typeof said === "string" ? said : JSON.stringify(said)]),
  ].filter(([, said]) => said);
  return el("dl", { class: "facts" }, rows.map(([name, said]) => el("div", {}, el("dt", {}, name), el("dd", {}, said))));
}

// `shown`: the colours of the answers that stand in sources above, which are open.
function item(source, number, phrases, readers, shown) {
  const text = el("blockquote", {}, marked(source.text, phrases));
  const found = [...text.querySelectorAll("mark")].map((mark) => mark.dataset.colour);
  const open = number === 1 || found.some((colour) => !shown.has(colour));
  for (const colour of found) shown.add(colour);
  return el("li", {}, el("details", { class: "source", open, "data-id": source.id },
    el("summary", {},
      el("span", { class: "number" }, String(number)),
      el("span", { class: "source-title" }, source.title || "untitled"),
      origin(source.provenance),
      el("span", { class: "hint from" }, source.provenance.source || "no source given")),
    el("div", { class: "source-body" },
      text,
      el("p", { class: "hint" }, [
        found.length ? (new Set(found).size > 1 ? "The answers are marked" : "The answer is marked") : null,
        readers.length ? `read by ${list(readers)}` : null,
        source.likeness !== null && source.likeness !== undefined ? `likeness to the question ${source.likeness.toFixed(2)}` : null,
      ].filter(Boolean).join(" · ")),
      facts(source.provenance))));
}

function leftOut(passages) {
  if (!passages.length) return null;
  return el("details", { class: "left-out" },
    el("summary", {}, `Left out: ${count(passages.length, "passage")}`),
    el("p", { class: "hint" }, "Found, and not shown to the members."),
    el("ul", {}, passages.map((p) => el("li", {}, el("strong", {}, p.title || "untitled"), " ", origin(p.provenance), el("span", { class: "hint" }, ` ${p.why}`)))));
}

// What to mark: the groups' answers, and the sentences that a long answer keeps.
function phrasesOf(verdict) {
  const colour = colours(verdict.groups);
  const answers = verdict.groups.map((group, i) => ({ text: group.answer, colour: colour.at(i) })).filter((p) => p.text !== NOT_KNOWN);
  const kept = verdict.claims.filter((claim) => claim.kept).map((claim) => ({ text: claim.text, colour: 0 }));
  const leading = verdict.status === "answered" && verdict.answer ? [{ text: verdict.answer, colour: colour.at(0) }] : [];
  return [...leading, ...answers, ...kept];
}

function section(title, note, items, out) {
  const root = byId("sources");
  fill(root,
    el("div", { class: "title" }, el("h2", { id: "sources-title" }, title), el("p", { class: "hint" }, note)),
    items.length > 0 ? el("ol", { class: "sources" }, items) : el("p", { class: "empty" }, "No passage was shown to the members."),
    leftOut(out));
  show(root, true);
}

export function showSources(verdict) {
  const phrases = phrasesOf(verdict);
  const readers = (id) => [...new Set(verdict.opinions.filter((o) => o.passages.includes(id)).map((o) => o.specialist))];
  const shown = new Set();
  const items = verdict.sources.map((source, i) => item(source, i + 1, phrases, readers(source.id), shown));
  const answered = verdict.status === "answered";
  section(answered ? "Sources" : "What the members read", items.length ? count(items.length, "passage") : "", items, verdict.left_out);
}

// While the members read.
export function showPassages(passages, out, lost) {
  section("What the members read", lost ?? count(passages.length, "passage"), passages.map((p, i) => item(p, i + 1, [], [], new Set())), out);
}
