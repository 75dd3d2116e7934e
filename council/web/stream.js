// Server-sent events out of a response's body.

const MOST = 16 * 1024 * 1024; // characters of one event: more than any verdict has

// Collects text as it comes, in pieces of any size, and gives the events that are whole.
export class EventParser {
  #rest = "";
  #event = "";
  #data = [];
  #size = 0;
  #first = true;

  // The events that end in this piece, as [{event, data}].
  push(piece) {
    const found = [];
    let text = this.#rest + piece;
    if (this.#first && text) {
      if (text.startsWith("\ufeff")) text = text.slice(1);
      this.#first = false;
    }
    // A CR at the end may be half of a CRLF.
    const lines = text.endsWith("\r") ? text.slice(0, -1).split(/\r\n|\n|\r/) : text.split(/\r\n|\n|\r/);
    this.#rest = lines.pop() + (text.endsWith("\r") ? "\r" : "");
    for (const line of lines) this.#line(line, found);
    if (this.#rest.length + this.#size > MOST) throw new Error("an event is too large");
    return found;
  }

  #line(line, found) {
    if (line === "") {
      if (this.#data.length) found.push({ event: this.#event || "message", data: this.#data.join("\n") });
      [this.#event, this.#data, this.#size] = ["", [], 0];
      return;
    }
    const colon = line.indexOf(":");
    if (colon === 0) return; // a comment, which keeps the connection alive
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") this.#event = value;
    if (field === "data") {
      this.#data.push(value);
      this.#size += value.length;
    }
  }
}

// The events of a body, a ReadableStream of bytes, as they come.
export async function* events(body) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const parser = new EventParser();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      yield* parser.push(done ? decoder.decode() : decoder.decode(value, { stream: true }));
      if (done) return;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
