// Verdicts that come from a link or from this browser's memory, read as though anybody had written them.

const MOST = 400; // items of any list
const LONGEST = 100_000; // characters of any text

const text = (value, otherwise = "") => (typeof value === "string" ? value.slice(0, LONGEST) : otherwise);
const maybe = (value) => (typeof value === "string" ? text(value) : null);
const number = (value, otherwise = 0) => (typeof value === "number" && Number.isFinite(value) ? value : otherwise);
const share = (value) => Math.min(1, Math.max(0, number(value)));
const list = (value, read) => (Array.isArray(value) ? value.slice(0, MOST).map(read) : []);
const record = (value) => (value && typeof value === "object" && !Array.isArray(value) ? value : {});
const one = (value, of, otherwise) => (of.includes(value) ? value : otherwise);
const numbers = (value) => Object.fromEntries(Object.entries(record(value)).slice(0, 40).map(([name, n]) => [name, number(n)]));

function provenance(value) {
  const from = record(value);
  const details = Object.entries(record(from.details)).slice(0, 40).map(([name, said]) => [name, typeof said === "string" ? text(said) : JSON.stringify(said) ?? ""]);
  return {
    origin: one(from.origin, ["human", "machine", "council", "unknown"], "unknown"), source: text(from.source), document: text(from.document),
    author: text(from.author), date: text(from.date), licence: text(from.licence), language: text(from.language), details: Object.fromEntries(details),
  };
}

export function passage(value) {
  const from = record(value);
  return {
    id: text(from.id), title: text(from.title), text: text(from.text), domain: maybe(from.domain), score: number(from.score),
    likeness: typeof from.likeness === "number" ? number(from.likeness) : null, provenance: provenance(from.provenance),
  };
}

export function leftOut(value) {
  const from = record(value);
  return { id: text(from.id), title: text(from.title), provenance: provenance(from.provenance), why: text(from.why) };
}

export function opinion(value) {
  const from = record(value);
  return {
    ...from, specialist: text(from.specialist), answer: maybe(from.answer), text: text(from.text), weight: share(from.weight),
    latency_s: number(from.latency_s), prompt_tokens: number(from.prompt_tokens), output_tokens: number(from.output_tokens),
    passages: list(from.passages, (id) => text(id)), passages_trimmed: list(from.passages_trimmed, (id) => text(id)),
    passages_dropped: number(from.passages_dropped), round: number(from.round), error: maybe(from.error),
  };
}

export function group(value) {
  const from = record(value);
  return { answer: text(from.answer), support: share(from.support), members: list(from.members, (name) => text(name)) };
}

function grounding(value) {
  if (!value || typeof value !== "object") return null;
  return {
    ...value, rests_on: one(value.rests_on, ["one passage", "the context", "the members"], "the context"), passage: text(value.passage),
    without_it: maybe(value.without_it), without_any: maybe(value.without_any), contradicted: value.contradicted === true,
    opinions: list(value.opinions, opinion),
  };
}

const claim = (value) => ({
  text: text(record(value).text), support: share(record(value).support), members: list(record(value).members, (name) => text(name)),
  passages: list(record(value).passages, (id) => text(id)), kept: record(value).kept === true,
});
const candidate = (value) => ({
  ...record(value), answer: text(record(value).answer), support: share(record(value).support),
  by_passages: typeof record(value).by_passages === "number" ? number(record(value).by_passages) : null,
});
const example = (value) => ({ ...record(value), question: text(record(value).question), answer: text(record(value).answer), right: record(value).right === true, why: text(record(value).why) });
const round = (value) => ({
  kind: one(record(value).kind, ["members", "samples", "orders"], "members"), asked: list(record(value).asked, (name) => text(name)),
  answer: maybe(record(value).answer), agreement: typeof record(value).agreement === "number" ? share(record(value).agreement) : null,
});

// A verdict, every field of the type that views expect. Raises TypeError for what is none.
export function verdict(value) {
  const from = record(value);
  if (!["answered", "abstained", "failed"].includes(from.status)) throw new TypeError("no verdict");
  const sure = record(from.confidence);
  return {
    ...from, answer: maybe(from.answer), reason: text(from.reason), agreement: typeof from.agreement === "number" ? share(from.agreement) : null,
    confidence: typeof sure.value === "number" ? { value: share(sure.value), calibrated_on: text(sure.calibrated_on) } : null,
    groups: list(from.groups, group), opinions: list(from.opinions, opinion), claims: list(from.claims, claim),
    candidates: list(from.candidates, candidate), sources: list(from.sources, passage), left_out: list(from.left_out, leftOut),
    examples: list(from.examples, example), grounding: grounding(from.grounding), domain: maybe(from.domain),
    warnings: list(from.warnings, (said) => text(said)), rounds: list(from.rounds, round), unasked: list(from.unasked, (name) => text(name)),
    calls: number(from.calls), timings_s: numbers(from.timings_s),
  };
}

const turn = (value) => ({ role: one(record(value).role, ["user", "assistant"], "user"), content: text(record(value).content) });

// A verdict with its question, what was said before it, and the agreement that was asked for, as history and links hold them.
export function entry(value) {
  const from = record(value);
  return {
    question: text(from.question), asked_at: number(from.asked_at), min_agreement: typeof from.min_agreement === "number" ? share(from.min_agreement) : null,
    before: list(from.before, turn), verdict: verdict(from.verdict),
  };
}
