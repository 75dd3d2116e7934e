// One question's way to its verdict: events in, views moved.

import { ask } from "./api.js";
import { showMembers, stateOf } from "./council.js";
import { count, list } from "./dom.js";
import * as shape from "./shape.js";
import { showPassages } from "./sources.js";
import { showClock, showProgress, showWorking } from "./verdict.js";
import { forgetColours, moveVote } from "./vote.js";

export class Inquiry {
  // `before`: the turns that it goes on from; `known`: the specialists of the council, as /v1/info tells of them.
  constructor(question, before, options, known) {
    this.question = question;
    this.before = before;
    this.options = options;
    this.members = known.map((s) => ({ name: s.name, domain: s.domain, weight: null, opinions: [], state: "waiting" }));
    this.groups = [];
    this.agreement = null;
    this.minimum = null;
    this.passages = null;
    this.kind = null;
    this.check = false;
    this.note = null;
    this.stop = new AbortController();
  }

  #takes = {
    routed: (data) => this.#routed(data), retrieved: (data) => this.#retrieved(data), asked: (data) => this.#asked(data),
    opinion: (data) => this.#opinion(data), vote: (data) => this.#vote(data),
  };

  // The entry of its verdict: {question, before, asked_at, min_agreement, verdict}. Raises ApiError; AbortError where it was cancelled.
  async run() {
    forgetColours();
    showWorking(this.question);
    const began = performance.now();
    const clock = setInterval(() => showClock(began), 100);
    try {
      this.#show();
      for await (const { event, data } of ask(this.#request(), this.stop.signal)) {
        if (event === "verdict") {
          const verdict = shape.verdict(data);
          return { question: this.question, before: this.before, asked_at: Date.now(), min_agreement: this.minimum, verdict };
        }
        this.#takes[event]?.(data);
        this.#show();
      }
      return null;
    } finally {
      clearInterval(clock);
    }
  }

  #request() {
    return { question: this.question, ...(this.before.length ? { history: this.before } : {}), ...this.options };
  }

  cancel() {
    this.stop.abort();
  }

  // Cards of those that were still at work when it was cancelled or failed.
  settle() {
    for (const member of this.members) {
      if (["waiting", "reading", "checking"].includes(member.state)) member.state = member.opinions.length ? stateOf(member.opinions[0]) : "stopped";
    }
    this.#show();
  }

  #show() {
    showMembers(this.members, this.groups, this.note);
    showProgress(this.members, this.passages, this.kind, this.check);
  }

  #routed(data) {
    this.minimum = data.min_agreement;
    this.members = data.members.map((m) => ({ name: m.specialist, domain: m.domain, weight: m.weight, opinions: [], state: m.asked ? "waiting" : "unasked" }));
    this.note = [data.domain ? `taken to be about ${data.domain}` : null, data.question !== this.question ? `asked as “${data.question}”` : null]
      .filter(Boolean).join(" · ") || null;
    moveVote([], null, this.minimum);
  }

  #retrieved(data) {
    this.passages = data.passages.map(shape.passage);
    showPassages(this.passages, data.left_out.map(shape.leftOut), data.lost);
  }

  #asked(data) {
    this.check = data.kind === "check";
    this.kind = data.kind;
    for (const member of this.members) {
      if (data.members.includes(member.name)) member.state = this.check || member.opinions.length ? "checking" : "reading";
    }
  }

  #opinion(data) {
    const opinion = shape.opinion(data);
    const member = this.members.find((m) => m.name === opinion.specialist);
    if (!member) return;
    if (!this.check) member.opinions.push(opinion);
    member.state = stateOf(member.opinions[0] ?? opinion);
  }

  #vote(data) {
    if (this.check) return; // that of the check is no vote of the council's
    [this.groups, this.agreement] = [data.groups.map(shape.group), data.agreement];
    moveVote(this.groups, this.agreement, this.minimum);
  }
}

export const noteOf = (verdict) => [
  count(new Set(verdict.opinions.map((o) => o.specialist)).size, "specialist"),
  verdict.domain ? `taken to be about ${verdict.domain}` : null,
  verdict.unasked.length ? `${list(verdict.unasked)} not asked` : null,
].filter(Boolean).join(" · ");
