// The page: joins the question box, the council at work, the verdict, the history and the documents.

import { ApiError, info as fetchInfo, key } from "./api.js";
import { membersOf, showMembers } from "./council.js";
import { askForKey } from "./dialog.js";
import { Documents } from "./documents.js";
import { byId, count, fill, percent, show } from "./dom.js";
import { before, follow, unfollow } from "./followup.js";
import { historyOf, remember, showHistory } from "./history.js";
import { Inquiry, noteOf } from "./inquiry.js";
import { chosen, showOptions, wireOptions } from "./options.js";
import { unpack } from "./share.js";
import { showSources } from "./sources.js";
import { tabs } from "./tabs.js";
import { showStopped, showVerdict, spokenVerdict } from "./verdict.js";
import { forgetColours } from "./vote.js";
import { showWorkings } from "./workings.js";

const TITLE = document.title;
let council = null; // what /v1/info says, once it said something
let running = null;

function say(text) {
  byId("spoken").textContent = text;
}

// One sentence where something went wrong; none clears it.
function tell(fault = "") {
  byId("fault").textContent = fault;
  show(byId("fault"), Boolean(fault));
}

// Does `work`; where the service wants a key, asks for one and does it again. Raises ApiError when none is given.
async function withKey(work) {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 401) throw error;
      const given = await askForKey(key.get() ? "The key was not accepted." : "Its operator gives out keys.");
      if (!given) throw new ApiError("This council asks for a key. Reload the page to enter one.", 401);
      key.set(given);
      show(byId("forget-key"), true);
    }
  }
}

async function meet() {
  council = await withKey(fetchInfo);
  historyOf(council.tenant);
  byId("question").maxLength = council.limits.question_chars;
  fill(byId("creed"), `${count(council.specialists.length, "specialist")} read the same passages of your documents, answer, and vote. `
    + `Where ${percent(council.min_agreement)} of the vote agrees, the council answers; where not, it abstains and says who thought what.`);
  showOptions(council);
  showHistory(open);
  if (byId("verdict").hidden) showMembers(council.specialists.map((s) => ({ ...s, weight: null, opinions: [], state: "idle" })), []);
}

// An entry's verdict in all its views. `shared`: it came with a link.
function present(entry, shared = false) {
  forgetColours();
  show(byId("hero"), false);
  showVerdict(entry, follow, shared ? () => ask(entry.question, []) : null);
  showMembers(membersOf(entry.verdict, council?.specialists), entry.verdict.groups, noteOf(entry.verdict));
  showSources(entry.verdict);
  showWorkings(entry.verdict);
  document.title = `${entry.verdict.status === "answered" ? entry.verdict.answer : entry.verdict.status} · ${TITLE}`;
}

// Ends what is running; nothing is said of it, since something else is shown.
function halt() {
  running?.cancel();
  running = null;
  busy(false);
}

// An entry of the history, shown again.
function open(entry) {
  halt();
  tell();
  unfollow();
  clearLink();
  present(entry);
  byId("question").value = entry.question;
  byId("asked").focus({ preventScroll: true });
  scrollTo({ top: 0 });
}

function busy(whether) {
  show(byId("cancel"), whether);
  show(byId("send"), !whether);
  if (whether) document.title = `At work · ${TITLE}`;
}

// The verdict of a link is no longer what the page shows.
function clearLink() {
  if (location.hash) history.replaceState(null, "", location.pathname + location.search);
}

// `turns`: what was said before, [{role, content}].
async function ask(question, turns) {
  halt();
  tell();
  clearLink();
  show(byId("hero"), false);
  show(byId("sources"), false);
  show(byId("workings"), false);
  busy(true);
  say("The council is at work.");
  let mine = null;
  try {
    const entry = await withKey(() => {
      mine = running = new Inquiry(question, turns, chosen(), council?.specialists ?? []);
      return mine.run();
    });
    remember(entry);
    showHistory(open);
    if (running !== mine) return;
    present(entry);
    say(spokenVerdict(entry.verdict));
  } catch (error) {
    if (running === mine) stopped(question, mine, error);
  } finally {
    if (running === mine) {
      running = null;
      busy(false);
    }
  }
}

// A question that came to no verdict: cancelled, or for a fault.
function stopped(question, inquiry, error) {
  document.title = TITLE;
  const cancelled = error.name === "AbortError";
  inquiry?.settle();
  showStopped(question, () => ask(question, inquiry?.before ?? []), cancelled);
  if (cancelled) say("Cancelled.");
  else tell(error instanceof ApiError ? error.message : "Something went wrong in the page. Reload it, and ask again.");
  if (!cancelled && !(error instanceof ApiError)) console.error(error);
}

function submit() {
  const question = byId("question").value.trim();
  if (!question) {
    tell("Write a question first.");
    byId("question").focus();
  } else if (!running) {
    const turns = before();
    unfollow();
    ask(question, turns);
  }
}

function wire() {
  const box = byId("question");
  byId("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    submit();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !running || byId("dialog").open) return;
    running.cancel();
    box.focus();
  });
  byId("cancel").addEventListener("click", () => {
    running?.cancel();
    box.focus();
  });
  byId("forget-key").addEventListener("click", () => {
    key.forget();
    location.reload();
  });
  show(byId("forget-key"), Boolean(key.get()));
  wireOptions();
}

// The verdict in the address, if there is one. It was made elsewhere, and is shown as such.
async function openLink() {
  try {
    const entry = await unpack(location.hash);
    if (!entry) return;
    halt();
    present(entry, true);
    byId("question").value = entry.question;
    say("A shared verdict, unverified.");
  } catch {
    tell("The link holds no verdict that can be read. It may have been cut off on its way.");
  }
}

async function start() {
  const documents = new Documents(withKey);
  tabs(document.querySelector('[role="tablist"]'), (id) => id === "tab-documents" && documents.show(council));
  wire();
  addEventListener("hashchange", openLink);
  await openLink();
  if (byId("verdict").hidden) byId("question").focus({ preventScroll: true });
  try {
    await meet();
  } catch (error) {
    tell(error instanceof ApiError ? error.message : "The page could not start. Reload it.");
  }
}

start();
