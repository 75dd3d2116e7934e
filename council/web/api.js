// The service's routes. Faults become ApiError, whose message is one sentence for the reader.

import { events } from "./stream.js";

const BASE = new URL("../v1/", import.meta.url);
const KEPT = "council.key";

export class ApiError extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

export const key = {
  get: () => sessionStorage.getItem(KEPT) ?? "",
  set: (value) => sessionStorage.setItem(KEPT, value),
  forget: () => sessionStorage.removeItem(KEPT),
};

const sentence = (text) => (/[.!?]$/.test(text) ? text : `${text}.`);
const upper = (text) => (/^[a-z]+ /.test(text) ? text.charAt(0).toUpperCase() + text.slice(1) : text); // names stay as they are

// What a response that is no success says. `retry`: its Retry-After, in seconds.
function fault(status, text, retry) {
  let told = "";
  try {
    told = String(JSON.parse(text).error.message ?? "");
  } catch {
    // a proxy's page, not the service's word
  }
  const wait = Number(retry) > 0 ? ` Try again in ${Math.ceil(Number(retry))} s.` : " Try again shortly.";
  if (status === 429 && !/\bagain\b/.test(told)) return new ApiError(`The council has too much to do at the moment.${wait}`, status);
  if (status === 413 && !told) return new ApiError("That is larger than the service takes.", status);
  if (told) return new ApiError(sentence(upper(told)), status);
  return new ApiError(`The service answered with an error (${status}).`, status);
}

function headers(more = {}) {
  return key.get() ? { ...more, Authorization: `Bearer ${key.get()}` } : more;
}

async function request(path, options = {}) {
  let response;
  try {
    response = await fetch(new URL(path, BASE), { ...options, headers: headers(options.headers), credentials: "same-origin" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The council can't be reached. Check that it is running, and try again.");
  }
  if (!response.ok) throw fault(response.status, await response.text(), response.headers.get("retry-after"));
  return response;
}

export const info = async () => (await request("info")).json();
export const documents = async () => (await (await request("documents")).json()).data;
export const passages = async (id) => (await (await request(`documents/${encodeURIComponent(id)}`)).json()).passages;
export const remove = async (id) => (await request(`documents/${encodeURIComponent(id)}`, { method: "DELETE" })).json();

// The council's events for a question: {event, data}, the last of them `verdict`. Raises ApiError where there is none.
export async function* ask(question, signal) {
  const response = await request("council", {
    method: "POST", signal, body: JSON.stringify({ ...question, stream: true }),
    headers: { "Content-Type": "application/json", Accept: "text/event-stream" },
  });
  try {
    for await (const { event, data } of events(response.body)) {
      const told = JSON.parse(data);
      if (event === "error") throw fault(0, data, null);
      yield { event, data: told };
      if (event === "verdict") return;
    }
  } catch (error) {
    if (error.name === "AbortError" || error instanceof ApiError) throw error;
    throw new ApiError("The connection broke off before the verdict. Ask again.");
  }
  throw new ApiError("The connection ended before the verdict. Ask again.");
}

// Sends files; `progress` is told the share that was sent, in [0, 1]. XMLHttpRequest, since fetch tells of no upload's progress.
export function upload(files, domain, progress, signal) {
  return new Promise((resolve, reject) => {
    const form = new FormData();
    for (const file of files) form.append("files", file, file.name);
    if (domain) form.append("domain", domain);
    const sending = new XMLHttpRequest();
    sending.open("POST", new URL("documents", BASE));
    for (const [name, value] of Object.entries(headers())) sending.setRequestHeader(name, value);
    sending.upload.onprogress = (event) => event.lengthComputable && progress(event.loaded / event.total);
    sending.upload.onload = () => progress(1);
    sending.onerror = () => reject(new ApiError("The upload broke off. Check that the service is running, and try again."));
    sending.onabort = () => reject(new DOMException("cancelled", "AbortError"));
    sending.onload = () => {
      if (sending.status !== 200) reject(fault(sending.status, sending.responseText, sending.getResponseHeader("retry-after")));
      else resolve(JSON.parse(sending.responseText));
    };
    signal?.addEventListener("abort", () => sending.abort());
    sending.send(form);
  });
}
