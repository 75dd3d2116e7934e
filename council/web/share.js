// A verdict as JSON, to copy, to save, or in a link's fragment, which no server ever sees.

import { byId, el, show } from "./dom.js";
import { entry as read } from "./shape.js";

const MARK = "#verdict=";
const LONGEST_LINK = 60_000; // characters; longer ones are cut off on the way by too many programs
const LARGEST = 4 * 1024 * 1024; // bytes of a verdict that a link unpacks to

async function through(stream, data, most = Infinity) {
  const reader = new Blob([data]).stream().pipeThrough(stream).getReader();
  const chunks = [];
  for (let size = 0; ;) {
    const { done, value } = await reader.read();
    if (done) return new Blob(chunks);
    size += value.length;
    if (size > most) {
      await reader.cancel();
      throw new Error("too large");
    }
    chunks.push(value);
  }
}

// What is shared: no more than the question and its verdict.
export const shareable = ({ question, verdict, min_agreement, asked_at }) => ({ question, asked_at, min_agreement, verdict });

export async function pack(entry) {
  const packed = new Uint8Array(await (await through(new CompressionStream("deflate-raw"), JSON.stringify(shareable(entry)))).arrayBuffer());
  let letters = "";
  for (let at = 0; at < packed.length; at += 8192) letters += String.fromCharCode(...packed.subarray(at, at + 8192));
  return MARK + btoa(letters).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

// The entry in a fragment; null where there is none. Raises Error for one that can't be read.
export async function unpack(fragment) {
  if (!fragment.startsWith(MARK)) return null;
  const letters = atob(fragment.slice(MARK.length).replaceAll("-", "+").replaceAll("_", "/"));
  const packed = Uint8Array.from(letters, (letter) => letter.charCodeAt(0));
  return read(JSON.parse(await (await through(new DecompressionStream("deflate-raw"), packed, LARGEST)).text()));
}

// True where the clipboard took it; browsers refuse that to pages that are not served securely.
async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

function save(entry) {
  const address = URL.createObjectURL(new Blob([`${JSON.stringify(shareable(entry), null, 2)}\n`], { type: "application/json" }));
  const link = el("a", { href: address, download: "verdict.json" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

async function shareLink(entry, told) {
  const link = location.href.split("#")[0] + (await pack(entry));
  const field = byId("link");
  if (link.length > LONGEST_LINK) {
    told("This verdict is too long for a link. Copy or save its JSON instead.");
    return;
  }
  field.value = link;
  show(byId("link-row"), true);
  field.focus();
  field.select();
  const done = await copied(link);
  told(`${done ? "Copied. " : ""}The whole verdict, with its passages, is in the link itself; nothing is stored on the server.`);
}

// Buttons beneath a verdict: to go on from it, where `follow` is given, and to share it.
export function shareRow(entry, follow) {
  const said = el("p", { class: "hint", role: "status", id: "share-note" });
  const told = (text) => { said.textContent = text; };
  return el("div", { class: "share" },
    el("div", { class: "row" },
      follow && el("button", { type: "button", class: "plain first", id: "follow-up", click: () => follow(entry) }, "Follow up"),
      el("button", { type: "button", class: "plain", id: "share-link", click: () => shareLink(entry, told) }, "Share link"),
      el("button", { type: "button", class: "plain", id: "copy-json", click: async () => {
        told(await copied(JSON.stringify(shareable(entry), null, 2)) ? "The JSON is copied." : "This browser lets the page copy nothing here. Save the JSON instead.");
      } }, "Copy JSON"),
      el("button", { type: "button", class: "plain", id: "save-json", click: () => save(entry) }, "Save JSON")),
    el("div", { class: "link-row", id: "link-row", hidden: true }, el("label", { for: "link", class: "unseen" }, "Link to this verdict"), el("input", { id: "link", readonly: true })),
    said);
}
