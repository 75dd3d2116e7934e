// Tabs that arrow keys move between, and the panels they show.

import { byId, show } from "./dom.js";

// `shown` is called with a tab's id when its panel comes to be shown.
export function tabs(row, shown) {
  const all = [...row.querySelectorAll('[role="tab"]')];

  function select(tab, focus = true) {
    for (const other of all) {
      const chosen = other === tab;
      other.setAttribute("aria-selected", String(chosen));
      other.tabIndex = chosen ? 0 : -1;
      show(byId(other.getAttribute("aria-controls")), chosen);
    }
    if (focus) tab.focus();
    shown(tab.id);
  }

  row.addEventListener("click", (event) => {
    const tab = event.target.closest('[role="tab"]');
    if (tab) select(tab);
  });
  row.addEventListener("keydown", (event) => {
    const at = all.indexOf(document.activeElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: all.length - 1 }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    select(all[(to + all.length) % all.length]);
  });
  return { select: (id) => select(byId(id), false) };
}
