// The documents tab: what the council can read, and what is added or removed.

import { documents as fetchDocuments, passages as fetchPassages, remove } from "./api.js";
import { confirmed } from "./dialog.js";
import { byId, count, el, fill } from "./dom.js";
import { Uploads } from "./uploads.js";

const ORIGINS = { human: "written by a person", machine: "written by a model", council: "said by this council", unknown: "origin unknown" };

export class Documents {
  // `withKey` does work that may need an API key.
  constructor(withKey) {
    this.withKey = withKey;
    this.root = byId("panel-documents");
    this.made = false;
  }

  async show(council) {
    if (!this.made || this.council !== council) this.#make(council);
    await this.refresh();
  }

  #make(council) {
    this.council = council;
    this.made = true;
    this.fault = el("p", { class: "fault", role: "alert", hidden: true });
    this.list = el("div", { id: "documents", "aria-live": "polite" });
    const may = council?.documents === true;
    fill(this.root,
      el("div", { class: "hero small" }, el("h2", {}, "Documents"),
        el("p", {}, may ? "What the council reads. Answers come from these passages, with their sources." : "What the council reads. With this key they can be read, not changed.")),
      may && new Uploads(council, this.withKey, () => this.refresh()).element,
      this.fault, this.list);
  }

  #tell(error) {
    this.fault.textContent = error ? error.message : "";
    this.fault.hidden = !error;
  }

  async refresh() {
    try {
      const found = await this.withKey(fetchDocuments);
      this.#tell(null);
      this.#list(found);
    } catch (error) {
      this.#tell(error);
    }
  }

  #list(found) {
    const open = new Set([...this.list.querySelectorAll("details[open]")].map((details) => details.parentElement.dataset.id));
    const passages = found.reduce((sum, document) => sum + document.passages, 0);
    fill(this.list,
      el("div", { class: "title" }, el("h3", {}, "In the library"), el("p", { class: "hint" }, `${count(found.length, "document")}, ${count(passages, "passage")}`)),
      found.length === 0 && el("p", { class: "empty" }, "There are no documents yet. Without them the council abstains from most questions."),
      found.length > 12 && this.#filter(),
      el("ul", { class: "documents" }, found.map((document) => this.#item(document, open.has(document.id)))));
  }

  #filter() {
    const input = el("input", { type: "search", id: "filter", placeholder: "Find by name or title", input: () => {
      const sought = input.value.trim().toLowerCase();
      for (const item of this.list.querySelectorAll(".documents > li")) item.hidden = !item.dataset.text.includes(sought);
    } });
    return el("div", { class: "filter" }, el("label", { class: "unseen", for: "filter" }, "Find a document"), input);
  }

  #item(document, open) {
    const titles = document.titles.filter(Boolean);
    const name = shortName(document.file) || "untitled";
    const told = [titles.slice(0, 3).join(", ") + (titles.length > 3 ? ` and ${titles.length - 3} more` : ""), document.source !== document.file ? document.source : ""];
    const body = el("div", { class: "passages", tabindex: "0", role: "region", "aria-label": `Passages of ${name}` });
    const details = el("details", { class: "document", open, toggle: () => details.open && !body.hasChildNodes() && this.#open(document, body) },
      el("summary", {},
        el("span", { class: "document-name", title: document.file }, name),
        el("span", { class: `origin is-${document.origin}` }, ORIGINS[document.origin] ?? ORIGINS.unknown),
        document.domain && el("span", { class: "domain" }, document.domain),
        el("span", { class: "hint size" }, count(document.passages, "passage")),
        el("span", { class: "hint told" }, told.filter(Boolean).join(" · "))),
      document.held.length > 0 && el("p", { class: "note warning" }, el("strong", {}, "Held back "), document.held.join("; ")),
      body,
      this.council?.documents && el("div", { class: "row end" },
        el("button", { type: "button", class: "danger plain", click: () => this.#remove(document, name) }, "Remove")));
    return el("li", { "data-id": document.id, "data-text": `${document.file} ${titles.join(" ")}`.toLowerCase() }, details);
  }

  async #open(document, body) {
    fill(body, el("p", { class: "hint" }, "Reading…"));
    try {
      const found = await this.withKey(() => fetchPassages(document.id));
      fill(body, el("ol", {}, found.map((p) => el("li", {}, p.title && el("strong", {}, p.title), el("blockquote", {}, p.text)))));
    } catch (error) {
      fill(body, el("p", { class: "fault" }, error.message));
    }
  }

  async #remove(document, name) {
    const sure = await confirmed("Remove this document?", `“${name}” and its ${count(document.passages, "passage")} are deleted. The council will no longer read them.`, "Remove");
    if (!sure) return;
    try {
      await this.withKey(() => remove(document.id));
      await this.refresh();
      this.root.focus();
    } catch (error) {
      this.#tell(error);
    }
  }
}

const shortName = (file) => file.split(/[\\/]/).filter(Boolean).at(-1) ?? "";
