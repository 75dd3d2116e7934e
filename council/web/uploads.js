// Files on their way to the library: chosen or dropped, with progress and what became of them.

import { upload } from "./api.js";
import { bytes, count, el, fill, show } from "./dom.js";

const ACCEPT = ".pdf,.html,.htm,.docx,.md,.markdown,.txt,.csv,.jsonl";

export class Uploads {
  // `done` is called when documents were added.
  constructor(council, withKey, done) {
    this.limit = council.limits.upload_bytes;
    this.withKey = withKey;
    this.done = done;
    this.input = el("input", { type: "file", id: "files", multiple: true, accept: ACCEPT, class: "unseen", change: () => this.#send([...this.input.files]) });
    this.domain = el("select", { id: "upload-domain" }, el("option", { value: "" }, "no domain"),
      [...new Set(council.specialists.map((s) => s.domain))].sort().map((d) => el("option", { value: d }, d)));
    this.bar = el("progress", { max: 1, value: 0, "aria-label": "Upload" });
    this.state = el("p", { class: "hint", role: "status" });
    this.report = el("div", { class: "report", role: "status" });
    this.stop = el("button", { type: "button", class: "quiet", click: () => this.running?.abort() }, "Cancel");
    this.progress = el("div", { class: "upload-progress", hidden: true }, this.bar, this.state, this.stop);
    this.element = this.#make();
  }

  #make() {
    const zone = el("div", { class: "drop" },
      el("p", {}, el("label", { for: "files", class: "as-button" }, "Choose files"), this.input, el("span", {}, " or drop them here")),
      el("p", { class: "hint" }, `PDF, HTML, DOCX, Markdown, text, CSV and JSONL, up to ${bytes(this.limit)} in all`),
      el("p", { class: "with-domain" }, el("label", { for: "upload-domain" }, "They are about"), this.domain));
    for (const kind of ["dragenter", "dragover"]) zone.addEventListener(kind, (event) => { event.preventDefault(); zone.classList.add("is-over"); });
    for (const kind of ["dragleave", "drop"]) zone.addEventListener(kind, () => zone.classList.remove("is-over"));
    zone.addEventListener("drop", (event) => {
      event.preventDefault();
      this.#send([...event.dataTransfer.files]);
    });
    return el("div", { class: "uploads" }, zone, this.progress, this.report);
  }

  #say(...lines) {
    fill(this.report, lines);
  }

  async #send(files) {
    if (!files.length || this.running) return;
    const size = files.reduce((sum, file) => sum + file.size, 0);
    this.#say();
    if (size > this.limit) {
      this.#say(el("p", { class: "fault" }, `${count(files.length, "file")} of ${bytes(size)} are more than the ${bytes(this.limit)} that the service takes at once.`));
      return;
    }
    this.running = new AbortController();
    show(this.progress, true);
    try {
      const report = await this.withKey(() => upload(files, this.domain.value, (share) => this.#progress(share, files.length), this.running.signal));
      this.#said(report);
      this.done();
    } catch (error) {
      this.#say(error.name === "AbortError" ? el("p", { class: "hint" }, "The upload was cancelled.") : el("p", { class: "fault", role: "alert" }, error.message));
    } finally {
      this.running = null;
      show(this.progress, false);
      this.input.value = "";
    }
  }

  #progress(share, number) {
    if (share < 1) this.bar.value = share;
    else this.bar.removeAttribute("value");
    this.state.textContent = share < 1 ? `Sending ${count(number, "file")}…` : "Reading and embedding…";
  }

  #said(report) {
    const parts = [`${count(report.documents, "document")} read`, `${count(report.new, "new passage")}`];
    if (report.unchanged) parts.push(`${report.unchanged} unchanged`);
    if (report.changed?.length) parts.push(`${report.changed.length} replaced`);
    if (report.duplicates) parts.push(`${count(report.duplicates, "passage")} held back that others say too`);
    if (report.poor) parts.push(`${report.poor} held back for their quality`);
    this.#say(el("p", { class: "note good" }, `${parts.join(", ")}.`),
      report.skipped.map(([name, reason]) => el("p", { class: "note warning" }, el("strong", {}, `${name} was skipped: `), reason)));
  }
}
