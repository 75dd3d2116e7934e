// The members' cards: who is asked, with which weight, how far each is, and what it said.

import { byId, count, el, fill, percent, seconds } from "./dom.js";
import { colours, NOT_KNOWN } from "./vote.js";

export const STATES = {
  idle: "", waiting: "waiting", reading: "reading", answered: "answered", unknown: "not known", late: "late", failed: "failed",
  unneeded: "not needed", unasked: "not asked", stopped: "cancelled", checking: "asked again",
};

const COLOURED = ["answered", "unknown", "checking"];

// What an opinion says of its member's state.
export function stateOf(opinion) {
  if (opinion.error === null || opinion.error === undefined) return opinion.answer === NOT_KNOWN ? "unknown" : "answered";
  if (opinion.error.startsWith("late")) return "late";
  return opinion.error.startsWith("cancelled") ? "unneeded" : "failed";
}

// The members as a verdict alone tells of them.
export function membersOf(verdict, known = []) {
  const domain = (name) => known.find((m) => m.name === name)?.domain ?? null;
  const found = new Map();
  for (const opinion of verdict.opinions) {
    const member = found.get(opinion.specialist)
      ?? { name: opinion.specialist, domain: domain(opinion.specialist), weight: opinion.weight, opinions: [], state: "waiting" };
    member.opinions.push(opinion);
    member.state = stateOf(member.opinions[0]);
    found.set(member.name, member);
  }
  for (const name of verdict.unasked) found.set(name, { name, domain: domain(name), weight: null, opinions: [], state: "unasked" });
  return [...found.values()];
}

function said(member) {
  const [first, ...more] = member.opinions;
  if (!first) return member.description ? el("p", { class: "describes" }, member.description) : null;
  const wordy = first.text && first.answer && first.text.length > first.answer.length + 40;
  return el("div", { class: "said" },
    first.error ? el("p", { class: "error" }, first.error) : el("p", { class: "answer" }, first.answer ?? ""),
    more.length > 0 && el("p", { class: "hint" }, `then ${more.map((o) => o.answer ?? "no vote").join(", ")}`),
    wordy && el("details", {}, el("summary", {}, "In its own words"), el("p", { class: "words" }, first.text)));
}

function card(member, most, colour) {
  const seen = member.opinions[0];
  const bar = el("span", { class: "weight-bar", "aria-hidden": "true" });
  bar.style.setProperty("--share", member.weight === null ? 0 : member.weight / (most || 1));
  return el("li", { class: `member is-${member.state}`, "data-name": member.name, "data-state": member.state, "data-colour": colour ?? null },
    el("div", { class: "who" },
      el("h3", {}, member.name),
      member.domain && member.domain !== member.name && el("span", { class: "hint" }, member.domain)),
    member.weight !== null && member.weight !== undefined
      && el("p", { class: "weight" }, bar, el("span", {}, `weight ${percent(member.weight)}`)),
    STATES[member.state] && el("p", { class: "state" }, el("span", { class: "sign", "aria-hidden": "true" }), STATES[member.state],
      seen && seen.latency_s > 0 && !["reading", "waiting"].includes(member.state) && el("span", { class: "hint" }, `· ${seconds(seen.latency_s)}`)),
    said(member));
}

// Cards that did not change stay as they are: what is open, selected or has the focus stays so.
export function showMembers(members, groups, note) {
  const root = byId("members");
  const most = Math.max(...members.map((m) => m.weight ?? 0), 0);
  const colour = colours(groups);
  const made = members.map((member) => card(member, most, COLOURED.includes(member.state) ? colour.of(member.name) : null));
  const before = [...root.children];
  if (before.map((item) => item.dataset.name).join("\n") === members.map((member) => member.name).join("\n")) {
    before.forEach((old, i) => sameButOpen(old, made[i]) || old.replaceWith(made[i]));
  } else {
    fill(root, made);
  }
  fill(byId("council-note"), note ?? count(members.length, "specialist"));
}

function sameButOpen(old, made) {
  const closed = old.cloneNode(true);
  for (const open of closed.querySelectorAll("details[open]")) open.removeAttribute("open");
  return closed.isEqualNode(made);
}
