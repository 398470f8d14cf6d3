// Comfort for pages that are complete without it: theme, choice of tools, copying, filtering while typing, staying up to date.
"use strict";

const root = document.documentElement;
const THEMES = ["auto", "light", "dark"];
root.classList.add("js");

// Before the first paint, so that no page flashes.
const theme = () => {
  try {
    const kept = localStorage.getItem("theme");
    return THEMES.includes(kept) ? kept : "auto";
  } catch {
    return "auto"; // Storage is forbidden.
  }
};
const showTheme = (name) => {
  if (name === "auto") delete root.dataset.theme;
  else root.dataset.theme = name;
};
showTheme(theme());

// The tool whose commands are shown, as somebody chose it last.
const TOOLS = ["docker", "podman", "nerdctl", "crane"];
const tool = () => {
  try {
    const kept = localStorage.getItem("tool");
    return TOOLS.includes(kept) ? kept : TOOLS[0];
  } catch {
    return TOOLS[0]; // Storage is forbidden.
  }
};
const showTool = (name) => {
  root.dataset.tool = name;
  document.querySelectorAll("[data-tool-switch]").forEach((button) => {
    button.setAttribute("aria-pressed", String(button.dataset.toolSwitch === name));
  });
};
showTool(tool());
document.addEventListener("renewed", () => showTool(root.dataset.tool));

document.addEventListener("DOMContentLoaded", () => {
  const button = document.querySelector("[data-theme-switch]");
  const name = document.querySelector("[data-theme-name]");
  let current = theme();
  const label = () => { name.textContent = current[0].toUpperCase() + current.slice(1); };
  button.addEventListener("click", () => {
    current = THEMES[(THEMES.indexOf(current) + 1) % THEMES.length];
    showTheme(current);
    label();
    try { localStorage.setItem("theme", current); } catch { /* It lasts for this page. */ }
  });
  label();
  button.hidden = false;
  document.querySelectorAll("form[data-live]").forEach(live);
  for (const part of marked()) served.set(part, part.innerHTML);
  // Not before: what is served does not say which tool is chosen.
  showTool(root.dataset.tool);
  soon();
});

// Copying. The clipboard is only there for pages that came over TLS or from this machine.
const copy = async (text) => {
  if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "visually-hidden";
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  if (!copied) throw new Error("not copied");
};
document.addEventListener("click", async (event) => {
  const tool = event.target.closest("[data-tool-switch]")?.dataset.toolSwitch;
  if (tool) {
    showTool(tool);
    try { localStorage.setItem("tool", tool); } catch { /* It lasts for this page. */ }
    return;
  }
  const button = event.target.closest(".copy");
  if (button) {
    const label = button.firstElementChild;
    const text = label.textContent;
    try {
      await copy(button.previousElementSibling.textContent);
      button.classList.add("copied");
      label.textContent = "Copied";
      button.focus();
      setTimeout(() => { button.classList.remove("copied"); label.textContent = text; }, 1500);
    } catch {
      getSelection().selectAllChildren(button.previousElementSibling);
    }
    return;
  }
  // One menu at a time, closed by a click elsewhere.
  document.querySelectorAll(".menu[open]").forEach((menu) => { if (!menu.contains(event.target)) menu.open = false; });
});
document.addEventListener("keydown", (event) => {
  const isTyping = event.target.closest("input, textarea, select, [contenteditable]");
  const search = document.querySelector("input[type='search']");
  if (event.key === "/" && search && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    search.focus();
    search.select();
    return;
  }
  if (event.key !== "Escape") return;
  document.querySelectorAll(".menu[open]").forEach((menu) => { menu.open = false; menu.firstElementChild.focus(); });
});

// Filtering while typing: the server answers, so all repositories are searched, not only those shown.
function live(form) {
  const results = document.getElementById(form.dataset.live);
  const status = form.querySelector("[data-live-status]");
  let timer;
  let asked;
  const ask = async () => {
    asked?.abort();
    asked = new AbortController();
    const values = new URLSearchParams([...new FormData(form)].filter(([, value]) => value !== ""));
    const url = new URL(form.action);
    url.hash = "";
    url.search = values;
    try {
      const answer = await fetch(url, { signal: asked.signal, headers: { Accept: "text/html" } });
      if (!answer.ok) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const found = page.getElementById(results.id);
      if (!found) return;
      results.replaceChildren(...found.childNodes);
      status.textContent = found.dataset.found;
      // The choices of other days keep what was typed.
      const chooser = page.querySelector(".chooser");
      if (chooser) document.querySelector(".chooser")?.replaceChildren(...chooser.childNodes);
      history.replaceState(null, "", url);
    } catch (error) {
      if (error.name !== "AbortError") status.textContent = "The server does not answer.";
    }
  };
  form.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(ask, 120); });
}

// What is marked is asked for anew while somebody looks, after as many seconds as its mark says.
const served = new WeakMap();
const marked = () => [...document.querySelectorAll("[data-renew]")];
const isInUse = (part) => {
  const focused = document.activeElement;
  const selection = getSelection();
  return (part.contains(focused) && focused !== part)
    || (!selection.isCollapsed && part.contains(selection.anchorNode))
    || part.querySelector("details[open], .bar.current, .legend [aria-pressed='false']") !== null;
};
async function renew() {
  if (!document.hidden) {
    let answered = false;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (answer.ok) {
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        for (const part of marked()) {
          const newer = page.getElementById(part.id);
          // What is the same stays, so that nothing is read out twice, and so does what somebody uses.
          if (!newer || served.get(part) === newer.innerHTML || isInUse(part)) continue;
          served.set(part, newer.innerHTML);
          part.className = newer.className;
          part.dataset.renew = newer.dataset.renew ?? part.dataset.renew;
          part.replaceChildren(...newer.childNodes);
          part.querySelectorAll("form[data-live]").forEach(live);
          part.dispatchEvent(new Event("renewed", { bubbles: true }));
        }
        answered = true;
      }
    } catch { /* It is away, and told so. */ }
    const failed = document.querySelector("[data-renew-failed]");
    if (failed) failed.hidden = answered;
  }
  soon();
}
function soon() {
  const parts = marked();
  if (parts.length > 0) setTimeout(renew, 1000 * Math.min(...parts.map((part) => Number(part.dataset.renew))));
}
