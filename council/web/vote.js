// The vote: groups of members that say the same, and their agreement against what is asked.

import { byId, el, fill, list, percent } from "./dom.js";

export const NOT_KNOWN = "not known";
const COLOURS = 5;

let given = new Map(); // member -> its group's colour, so that groups keep theirs while the vote goes on

export function forgetColours() {
  given = new Map();
}

// Which colour each group and member has: 0 to 4, or "none" for 'not known'.
export function colours(groups) {
  const now = new Map();
  const taken = new Set();
  const chosen = groups.map((group) => {
    if (group.answer === NOT_KNOWN) return "none";
    const old = group.members.map((m) => given.get(m)).find((c) => c !== undefined && c !== "none" && !taken.has(c));
    const free = [...Array(COLOURS).keys()].find((c) => !taken.has(c) && ![...given.values()].includes(c));
    const colour = old ?? free ?? [...Array(COLOURS).keys()].find((c) => !taken.has(c)) ?? COLOURS - 1;
    taken.add(colour);
    return colour;
  });
  groups.forEach((group, i) => group.members.forEach((m) => now.set(m, chosen[i])));
  given = now;
  return { of: (member) => now.get(member), at: (index) => chosen[index] };
}

// A share in percent; what is less than the threshold does not look as though it were not.
export function nearly(share, minimum) {
  const [shown, asked] = [percent(share), minimum === null ? "" : percent(minimum)];
  return shown === asked && share < minimum ? `${(Math.floor(share * 10_000) / 100).toFixed(2)}%` : shown;
}

// The agreement against the threshold, as one bar of all votes; `minimum` null: it is not known.
export function meter(groups, agreement, minimum) {
  const colour = colours(groups);
  const share = agreement ?? 0;
  const leads = groups.length && groups[0].answer === NOT_KNOWN ? " on “not known”" : "";
  const figure = agreement === null ? "–" : nearly(share, minimum);
  const told = agreement === null ? "nobody has voted" : `${figure}${leads}${minimum === null ? "" : `, where ${percent(minimum)} is asked`}`;
  const track = el("div", { class: "track", role: "meter", "aria-label": "Agreement", "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": Math.round(share * 100), "aria-valuetext": told },
    groups.map((group, i) => {
      const part = el("span", { class: "part", "data-colour": colour.at(i), "data-key": group.members.join() });
      part.style.width = `${group.support * 100}%`;
      return part;
    }));
  const mark = minimum === null ? null : el("div", { class: "asked-for", "aria-hidden": "true" }, el("span", {}, `${percent(minimum)} asked`));
  if (mark) {
    mark.style.left = `${minimum * 100}%`;
    mark.classList.toggle("near-end", minimum > 0.85);
    mark.classList.toggle("near-start", minimum < 0.15);
  }
  return el("div", { class: "meter" },
    el("p", { class: "figure" }, el("span", { class: "label" }, "Agreement"), el("strong", {}, figure)),
    el("div", { class: "scale" }, track, mark));
}

function row(group, colour, role) {
  const bar = el("span", { class: "part", "data-colour": colour });
  bar.style.width = `${group.support * 100}%`;
  return el("li", { class: `group is-${role}`, "data-colour": colour },
    el("span", { class: "swatch", "aria-hidden": "true" }),
    el("div", { class: "what" },
      el("p", { class: "answer" }, group.answer),
      el("p", { class: "hint" }, list(group.members))),
    el("div", { class: "support" }, el("div", { class: "track thin", "aria-hidden": "true" }, bar), el("span", { class: "share" }, percent(group.support))));
}

// What the groups other than the leader are called: dissent, where there is an answer.
function heading(answered, others) {
  if (!others.length) return null;
  return answered ? "Dissent" : null;
}

// All groups, the leader first; `answered`: the leader is the council's answer.
export function groupList(groups, answered) {
  const colour = colours(groups);
  const others = groups.slice(1);
  const title = heading(answered, others);
  return el("div", { class: "groups" },
    groups.length > 0 && el("ul", { "aria-label": answered ? "The answer's group" : "Groups" },
      row(groups[0], colour.at(0), answered ? "answer" : "leading"),
      !title && others.map((group, i) => row(group, colour.at(i + 1), "other"))),
    title && el("h3", { class: "dissent-title" }, title),
    title && el("ul", { class: "dissent", "aria-label": "Dissent" }, others.map((group, i) => row(group, colour.at(i + 1), "other"))));
}

// The live vote moves: widths of bars that stay are changed in place, so that they slide.
export function moveVote(groups, agreement, minimum) {
  const root = byId("live-vote");
  if (!root) return;
  const old = new Map([...root.querySelectorAll(".meter .part")].map((part) => [part.dataset.colour, part.style.width]));
  const made = [meter(groups, agreement, minimum), groupList(groups, false)];
  fill(root, made);
  for (const part of root.querySelectorAll(".meter .part")) {
    const end = part.style.width;
    part.style.width = old.get(part.dataset.colour) ?? "0%";
    void part.offsetWidth; // the browser has to see where it starts from
    part.style.width = end;
  }
}
