// How a question is to be answered, where its asker says other than the council's configuration.

import { byId, el, fill, list, show } from "./dom.js";

const POLICIES = {
  all: "all: everybody is asked",
  escalate: "escalate: until the rest could change nothing",
  cheapest: "cheapest: until the votes agree",
};
const KEPT = "council.options";

let info = { specialists: [], policies: [] };

function select(id, label, choices) {
  return el("div", {}, el("label", { for: id }, label), el("select", { id, change: changed }, choices.map(([value, told]) => el("option", { value }, told))));
}

function tick(id, label, why, checked) {
  return el("label", { class: "tick" }, el("input", { type: "checkbox", id, checked, change: changed }), el("span", {}, label, el("span", { class: "hint" }, why)));
}

// The form for a council; what was chosen in this tab before is chosen again.
export function showOptions(council) {
  info = council;
  const domains = [...new Set(info.specialists.map((s) => s.domain))].sort();
  fill(byId("options"),
    select("policy", "Whom to ask", [["", "as configured"], ...info.policies.map((p) => [p, POLICIES[p] ?? p])]),
    select("domain", "Documents of", [["", "all domains"], ...domains.map((d) => [d, d])]),
    el("fieldset", {}, el("legend", {}, "Specialists"), el("div", { class: "ticks" }, info.specialists.map((s) =>
      el("label", { class: "tick" }, el("input", { type: "checkbox", name: "specialist", value: s.name, checked: true, change: changed }), s.name)))),
    tick("retrieval", "Show them documents", "off: they answer from memory", true),
    tick("check", "Check the grounding", "asks again with less to read: what does the agreement rest on?", false));
  restore();
  chips();
}

// The options of a question, as the service takes them.
export function chosen() {
  const made = {};
  const ticked = [...document.querySelectorAll('input[name="specialist"]')].filter((box) => box.checked).map((box) => box.value);
  if (byId("policy")?.value) made.policy = byId("policy").value;
  if (byId("domain")?.value) made.domain = byId("domain").value;
  if (ticked.length && ticked.length < info.specialists.length) made.specialists = ticked;
  if (byId("retrieval")?.checked === false) made.retrieval = false;
  if (byId("check")?.checked) made.check = true;
  return made;
}

function restore() {
  let kept = {};
  try {
    kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "{}");
  } catch {
    return;
  }
  if ([...byId("policy").options].some((o) => o.value === kept.policy)) byId("policy").value = kept.policy;
  if ([...byId("domain").options].some((o) => o.value === kept.domain)) byId("domain").value = kept.domain;
  byId("retrieval").checked = kept.retrieval !== false;
  byId("check").checked = kept.check === true;
  if (Array.isArray(kept.specialists)) {
    for (const box of document.querySelectorAll('input[name="specialist"]')) box.checked = kept.specialists.includes(box.value);
  }
}

function changed() {
  sessionStorage.setItem(KEPT, JSON.stringify(chosen()));
  chips();
}

function chips() {
  const made = chosen();
  const told = [
    made.policy, made.domain && `documents of ${made.domain}`, made.specialists && `only ${list(made.specialists)}`,
    made.retrieval === false && "no documents", made.check && "check",
  ].filter(Boolean);
  fill(byId("chosen"), told.map((text) => el("li", {}, text)));
}

export function wireOptions() {
  const toggle = byId("options-toggle");
  toggle.addEventListener("click", () => {
    const open = toggle.getAttribute("aria-expanded") !== "true";
    toggle.setAttribute("aria-expanded", String(open));
    show(byId("options"), open);
  });
}
