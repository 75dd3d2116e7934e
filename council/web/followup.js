// A question that goes on from a verdict: what was said before is sent with it.

import { byId, el, fill, show } from "./dom.js";

const MOST = 6; // turns

let followed = null; // the entry that is followed up

// The turns that the next question goes on from: [{role, content}].
export function before() {
  if (!followed) return [];
  const { question, verdict } = followed;
  const answer = verdict.status === "answered" ? verdict.answer : verdict.reason;
  return [...followed.before, { role: "user", content: question }, { role: "assistant", content: answer }].slice(-MOST);
}

export function unfollow() {
  followed = null;
  show(byId("follows"), false);
}

export function follow(entry) {
  followed = entry;
  fill(byId("follows"),
    el("span", {}, "Following up on ", el("strong", {}, `“${entry.question}”`)),
    el("button", { type: "button", class: "quiet", click: () => { unfollow(); byId("question").focus(); } }, "Start anew"));
  show(byId("follows"), true);
  byId("question").value = "";
  byId("question").focus();
}
