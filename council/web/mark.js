// Answers found in a passage's text, and marked there.

import { el } from "./dom.js";

const LONGEST = 300; // characters of a phrase that is looked for

// Where a phrase stands in a text, word for word but for case, white space and the punctuation around it.
function places(text, phrase) {
  const words = phrase.slice(0, LONGEST).trim().replace(/^["“”‘’'«»\s]+|[.,;:!?…"“”‘’'«»\s]+$/gu, "").split(/\s+/).filter(Boolean);
  if (!words.length) return [];
  const sought = words.map((word) => word.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&")).join("\\s+");
  const pattern = new RegExp(`(?<![\\p{L}\\p{N}])${sought}(?![\\p{L}\\p{N}])`, "giu");
  return [...text.matchAll(pattern)].map((found) => [found.index, found.index + found[0].length]);
}

// Text nodes and <mark>s. `phrases`: [{text, colour}], of which the earlier one wins where two overlap.
export function marked(text, phrases) {
  const taken = [];
  for (const { text: phrase, colour } of phrases) {
    for (const [from, to] of places(text, phrase)) {
      if (taken.every((t) => to <= t.from || from >= t.to)) taken.push({ from, to, colour });
    }
  }
  taken.sort((a, b) => a.from - b.from);
  const nodes = [];
  let at = 0;
  for (const { from, to, colour } of taken) {
    nodes.push(text.slice(at, from), el("mark", { "data-colour": colour ?? null }, text.slice(from, to)));
    at = to;
  }
  nodes.push(text.slice(at));
  return nodes.filter((node) => node !== "");
}
