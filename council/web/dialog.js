// The one dialog: a question of yes or no, or for a key.

import { byId, el, fill } from "./dom.js";

// Opens it; resolves to what `answer` gives when it is confirmed, null when it is dismissed.
function open(title, body, confirm, kind, answer) {
  const dialog = byId("dialog");
  const before = document.activeElement;
  return new Promise((resolve) => {
    let result = null;
    const form = el("form", {
      method: "dialog",
      submit: (event) => {
        event.preventDefault();
        result = answer();
        dialog.close();
      },
    },
      el("h2", { id: "dialog-title" }, title), body,
      el("div", { class: "row end" },
        el("button", { type: "button", class: "plain", click: () => dialog.close() }, "Cancel"),
        el("button", { type: "submit", class: kind }, confirm)));
    fill(dialog, form);
    dialog.addEventListener("close", () => {
      fill(dialog);
      if (before?.isConnected) before.focus();
      resolve(result);
    }, { once: true });
    dialog.showModal();
  });
}

export async function confirmed(title, text, confirm) {
  return (await open(title, el("p", {}, text), confirm, "danger", () => true)) === true;
}

// An API key; null where none is given.
export function askForKey(told) {
  const input = el("input", { type: "password", id: "key", autocomplete: "off", spellcheck: "false", required: true });
  const body = el("div", {},
    el("p", {}, told),
    el("label", { for: "key" }, "API key"), input,
    el("p", { class: "hint" }, "It is kept in this tab until you close it, and nowhere else."));
  const asked = open("This council asks for a key", body, "Use key", "main", () => input.value.trim());
  input.focus();
  return asked;
}
