// How a verdict came about: rounds, claims and candidates, tokens, and where the time went.

import { byId, el, fill, list, percent, seconds, show } from "./dom.js";

const STAGES = ["retrieve", "route", "generate", "vote", "score", "check"];
const KINDS = { members: "asked", samples: "asked again", orders: "asked with the passages in another order" };

function timings(verdict) {
  const known = STAGES.filter((stage) => verdict.timings_s[stage] > 0);
  const total = verdict.timings_s.total ?? 0;
  const sum = known.reduce((all, stage) => all + verdict.timings_s[stage], 0);
  if (!known.length || sum <= 0) return null;
  const bar = el("div", { class: "stages", "aria-hidden": "true" }, known.map((stage) => {
    const part = el("span", { "data-stage": stage });
    part.style.flexGrow = String(verdict.timings_s[stage] / sum);
    return part;
  }));
  return el("div", {}, el("h3", {}, "Where the time went"), bar,
    el("ul", { class: "legend" }, known.map((stage) => el("li", { "data-stage": stage }, stage, " ", el("strong", {}, seconds(verdict.timings_s[stage])))),
      total > 0 && el("li", {}, "total ", el("strong", {}, seconds(total)))),
    verdict.timings_s.retrieve > 0 && verdict.timings_s.route > 0 && el("p", { class: "hint" }, "Passages are found and members chosen at the same time."));
}

function rounds(verdict) {
  if (!verdict.rounds.length) return null;
  return el("div", {}, el("h3", {}, "Rounds"), el("ol", { class: "rounds" }, verdict.rounds.map((round) => el("li", {},
    `${list(round.asked)} ${KINDS[round.kind]}`,
    round.agreement !== null && el("span", { class: "hint" }, ` “${round.answer}” led with ${percent(round.agreement)}`)))));
}

function claims(verdict) {
  const dropped = verdict.claims.filter((claim) => !claim.kept);
  if (!dropped.length) return null;
  return el("div", {}, el("h3", {}, "Said, and dropped"), el("ul", {}, dropped.map((claim) => el("li", {},
    claim.text, el("span", { class: "hint" }, ` ${percent(claim.support)}, ${list(claim.members)}`)))));
}

function candidates(verdict) {
  if (!verdict.candidates.length) return null;
  return el("div", {}, el("h3", {}, "By likelihood"), el("ul", {}, verdict.candidates.map((candidate) => el("li", {},
    candidate.answer, el("span", { class: "hint" }, ` ${percent(candidate.support)}`,
      candidate.by_passages !== null && `, by the passages ${candidate.by_passages >= 0 ? "+" : "−"}${Math.abs(candidate.by_passages).toFixed(1)} nats a token`)))));
}

function examples(verdict) {
  if (!verdict.examples.length) return null;
  return el("div", {}, el("h3", {}, "Worked examples that the members were shown"), el("ul", {}, verdict.examples.map((example) => el("li", {},
    example.question, " ", el("strong", {}, example.answer), el("span", { class: "hint" }, example.right ? " right" : ` wrong${example.why ? `: ${example.why}` : ""}`)))));
}

function calls(verdict) {
  const cell = (value, kind = "td") => el(kind, kind === "th" ? { scope: "col" } : {}, value);
  const rows = verdict.opinions.map((o) => el("tr", {},
    el("th", { scope: "row" }, o.specialist), cell(o.error ? "no vote" : o.answer ?? ""), cell(percent(o.weight)), cell(seconds(o.latency_s)),
    cell(`${o.prompt_tokens} → ${o.output_tokens}`), cell(trimmed(o))));
  return el("div", {}, el("h3", {}, "Calls"), el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Calls" }, el("table", {},
    el("thead", {}, el("tr", {}, ["member", "answer", "weight", "time", "tokens", "passages"].map((head) => cell(head, "th")))),
    el("tbody", {}, rows))));
}

function trimmed(opinion) {
  const cut = opinion.passages_trimmed.length ? `, ${opinion.passages_trimmed.length} cut` : "";
  return `${opinion.passages.length}${cut}${opinion.passages_dropped ? `, ${opinion.passages_dropped} dropped` : ""}`;
}

export function showWorkings(verdict) {
  const root = byId("workings");
  const total = verdict.timings_s.total;
  const told = [`${verdict.calls} calls`, total ? seconds(total) : null];
  fill(root, el("details", { class: "workings" },
    el("summary", {}, "How it was decided", el("span", { class: "hint" }, told.filter(Boolean).join(" · "))),
    el("div", { class: "workings-body" }, timings(verdict), rounds(verdict), claims(verdict), candidates(verdict), examples(verdict), calls(verdict))));
  show(root, true);
}
