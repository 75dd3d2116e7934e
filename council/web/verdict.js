// The verdict: the answer or the abstention, why, how sure, what it rests on, and who dissented.

import { byId, count, el, fill, list, percent, seconds, show } from "./dom.js";
import { groupList, meter } from "./vote.js";
import { shareRow } from "./share.js";

const SIGNS = { answered: "Answered", abstained: "Abstained", failed: "Failed" };
const HEADS = { abstained: "The council does not answer.", failed: "The council could not decide." };

function status(kind, label) {
  return el("p", { class: `status is-${kind}` }, el("span", { class: "sign", "aria-hidden": "true" }), label);
}

function asked(question, extra) {
  return el("div", { class: "asked-row" }, el("h2", { id: "asked", tabindex: "-1" }, question), extra);
}

// What the agreement was found to rest on, in a sentence. `passage`: how the one that was left out is called.
function groundingText(grounding, passage) {
  const quoted = (said) => (said === null ? "nothing together" : `“${said}”`);
  if (grounding.contradicted) {
    return `The passages contradict one another: without ${passage} the members say ${quoted(grounding.without_it)}.`;
  }
  if (grounding.rests_on === "one passage") return `It rests on one passage: without ${passage} the members say ${quoted(grounding.without_it)}.`;
  if (grounding.rests_on === "the members") return "It rests on the members themselves: they say so without any passage, too.";
  return `It rests on the passages together: without ${passage} the members still say ${quoted(grounding.without_it)}, without any ${quoted(grounding.without_any)}.`;
}

function grounding(verdict) {
  const found = verdict.grounding;
  if (!found) return null;
  const at = verdict.sources.findIndex((source) => source.id === found.passage);
  const passage = at < 0 ? "the best passage" : `passage ${at + 1}`;
  const wary = found.contradicted || found.rests_on === "the members";
  return el("p", { class: `note grounding${wary ? " is-wary" : ""}` }, el("strong", {}, "Grounding "), groundingText(found, passage));
}

function confidence(verdict) {
  if (!verdict.confidence) return null;
  return el("p", { class: "note confidence" },
    el("strong", {}, `Confidence ${percent(verdict.confidence.value)} `),
    `This is the calibrated probability that the answer is right, calibrated on ${verdict.confidence.calibrated_on}.`);
}

// Who cast no vote: the failed, the late, those that were not needed.
function silent(verdict) {
  const mute = verdict.opinions.filter((opinion) => opinion.error !== null);
  if (!mute.length && !verdict.unasked.length) return null;
  return el("div", { class: "silent" },
    mute.length > 0 && el("ul", { "aria-label": "No vote" }, mute.map((o) => el("li", {}, el("strong", {}, `${o.specialist}, no vote: `), o.error))),
    verdict.unasked.length > 0 && el("p", {}, `Not asked: ${list(verdict.unasked)}.`));
}

// The words that a screen reader says, and the page's title.
export function spokenVerdict(verdict) {
  const said = verdict.status === "answered" ? `The council answers: ${verdict.answer}.` : HEADS[verdict.status];
  return `${said} ${verdict.reason}`;
}

function shared(again) {
  return el("div", { class: "note shared" },
    el("p", {}, el("strong", {}, "Shared and unverified. "), "This verdict came with a link. Nothing vouches that the council said so, or that its sources exist."),
    el("button", { type: "button", class: "plain", click: again }, "Ask this council"));
}

// A whole verdict. `entry`: {question, verdict, min_agreement}; `follow`: goes on from it; `again`: asks its question, where it
// came with a link.
export function showVerdict(entry, follow, again = null) {
  const { question, verdict, min_agreement: minimum } = entry;
  const root = byId("verdict");
  const answered = verdict.status === "answered";
  const long = (verdict.answer ?? "").length > 160;
  fill(root,
    again && shared(again),
    asked(question, status(verdict.status, SIGNS[verdict.status])),
    answered ? el("p", { class: `the-answer${long ? " is-long" : ""}` }, verdict.answer ?? "") : el("p", { class: "no-answer" }, HEADS[verdict.status]),
    el("p", { class: "reason" }, verdict.reason),
    verdict.warnings.map((warning) => el("p", { class: "note warning" }, el("strong", {}, "Warning "), warning)),
    grounding(verdict), confidence(verdict),
    verdict.groups.length > 0 && [meter(verdict.groups, verdict.agreement, minimum), groupList(verdict.groups, answered)],
    silent(verdict),
    el("p", { class: "hint" }, "Agreement is the share of the votes’ weight. It is not a probability."),
    shareRow(entry, again ? null : follow));
  root.dataset.status = verdict.status;
  root.setAttribute("aria-busy", "false");
  show(root, true);
}

// While it is being found: what goes on, and the vote as it stands.
export function showWorking(question) {
  const root = byId("verdict");
  fill(root, asked(question, status("working", "At work")),
    el("p", { class: "progress" }, el("span", { id: "progress" }, "Finding passages, and who knows about this…"), el("span", { class: "clock hint", id: "clock", "aria-hidden": "true" })),
    el("div", { id: "live-vote" }, meter([], null, null)));
  root.dataset.status = "working";
  root.setAttribute("aria-busy", "true");
  show(root, true);
}

// Where there came no verdict: it was cancelled, or something went wrong.
export function showStopped(question, again, cancelled) {
  const root = byId("verdict");
  fill(root, asked(question, status("stopped", cancelled ? "Cancelled" : "No verdict")),
    el("p", { class: "no-answer" }, cancelled ? "The question was cancelled." : "There is no verdict."),
    el("button", { type: "button", class: "plain", click: again }, "Ask again"));
  root.dataset.status = "stopped";
  root.setAttribute("aria-busy", "false");
}

export function showProgress(members, passages, kind, check) {
  const place = byId("progress");
  if (!place) return;
  const at = members.filter((m) => !["unasked", "idle"].includes(m.state));
  const done = at.filter((m) => m.opinions.length);
  const read = passages ? `${count(passages.length, "passage")}` : "the passages";
  let told = "Finding passages, and who knows about this…";
  if (check) told = "Asking again with less to read, to see what the agreement rests on…";
  else if (kind === "samples") told = "They disagree: asking them again…";
  else if (kind === "orders") told = "They disagree: asking with the passages in another order…";
  else if (done.length) told = `${done.length} of ${at.length} have answered`;
  else if (at.some((m) => m.state === "reading")) told = `${count(at.length, "specialist")} ${at.length === 1 ? "reads" : "read"} ${passages?.length === 0 ? "the question, without passages" : read}…`;
  else if (at.length) told = "Passages are on their way to the members…";
  place.textContent = told;
}

export function showClock(began) {
  const clock = byId("clock");
  if (clock) clock.textContent = seconds((performance.now() - began) / 1000);
}
