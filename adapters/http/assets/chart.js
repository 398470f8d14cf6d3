// Charts: what a bar stands for as a small table, by pointer, tap and arrow keys; series switched on and off in the legend.
"use strict";

document.addEventListener("DOMContentLoaded", () => document.querySelectorAll(".chart").forEach(chart));
document.addEventListener("renewed", (event) => {
  hide();
  event.target.querySelectorAll(".chart").forEach(chart);
});
document.addEventListener("pointerdown", (event) => { if (!event.target.closest(".plot")) hide(); });

// One box for all charts of a page. A screen reader reads what comes into it.
const tooltip = document.createElement("div");
tooltip.className = "tooltip";
tooltip.setAttribute("role", "status");
tooltip.hidden = true;
addEventListener("scroll", () => { tooltip.hidden = true; }, { passive: true });
// Ends what is shown, of whichever chart.
let hide = () => {};

const element = (name, className, ...content) => {
  const made = document.createElement(name);
  made.className = className;
  made.append(...content);
  return made;
};
const numberOf = (text) => Number(text.replaceAll(",", ""));
const shown = (number) => number.toLocaleString("en");
const short = (number) => new Intl.NumberFormat("en", { notation: "compact" }).format(number).replace("K", "k");

function chart(figure) {
  const plot = figure.querySelector(".plot");
  if (!plot) return;
  document.body.append(tooltip);
  const stacked = figure.dataset.stacked === "true";
  const height = Number(plot.querySelector(".hit").getAttribute("height"));
  // The table has the values, the latest first.
  const rows = [...figure.querySelectorAll(".values tbody tr")].reverse();
  const bars = [...figure.querySelectorAll(".bar")].map((node, index) => {
    const title = node.querySelector("title");
    const heading = title.textContent.slice(0, title.textContent.indexOf(":"));
    title.remove(); // Else the browser shows it too.
    return { node, heading, values: [...rows[index].querySelectorAll("td")].map((cell) => numberOf(cell.textContent)) };
  });
  const series = [...figure.querySelectorAll(".legend li[data-name]")].map((item, index) => ({
    item, key: item.querySelector(".key"), name: item.dataset.name, isOn: true, index,
  }));
  const on = () => series.filter((one) => one.isOn);
  // The period before: for bars the sum of all series, so it goes when one of them does; for lines one for each.
  const heads = [...figure.querySelectorAll(".values thead th")];
  const keys = [...figure.querySelectorAll(".legend .before .key")];
  const ghosts = [...plot.querySelectorAll(".ghost")].map((path, at) => ({
    path, at, key: keys[at], index: series.length + at, name: heads[1 + series.length + at].textContent,
  }));
  const isOn = ({ at }) => (stacked ? on().length === series.length : series[at].isOn);

  // The box.
  let current = -1;
  const show = (index) => {
    hide();
    hide = () => {
      tooltip.hidden = true;
      bars[current]?.node.classList.remove("current");
      current = -1;
    };
    current = index;
    const { node, heading, values } = bars[index];
    const total = on().reduce((sum, { index: at }) => sum + values[at], 0);
    const share = (value) => (stacked && total > 0 ? `${Math.round((value / total) * 100)}%` : "");
    const row = (key, name, value, part) => element("tr", "", element("td", "", key), element("td", "", name),
      element("td", "number", shown(value)), element("td", "number", part));
    const body = element("tbody", "", ...on().map(({ key, name, index: at }) =>
      row(key.cloneNode(true), name, values[at], share(values[at]))));
    if (stacked && on().length > 1) body.append(row("", "in all", total, ""));
    body.append(...ghosts.filter(isOn).map(({ key, name, index: at }) => row(key.cloneNode(true), name, values[at], "")));
    tooltip.replaceChildren(element("p", "", heading), element("table", "", body));
    tooltip.hidden = false;
    node.classList.add("current");
    const at = node.querySelector(".hit").getBoundingClientRect();
    const left = at.left + at.width / 2 - tooltip.offsetWidth / 2;
    const above = at.top - tooltip.offsetHeight - 4;
    tooltip.style.left = `${Math.max(4, Math.min(left, document.documentElement.clientWidth - tooltip.offsetWidth - 4))}px`;
    tooltip.style.top = `${above < 4 ? at.bottom + 4 : above}px`;
  };
  bars.forEach(({ node }, index) => {
    node.addEventListener("pointerenter", () => show(index));
    // A finger is lifted to look; what was touched stays until something else is.
    node.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") hide(); });
  });
  plot.tabIndex = 0;
  plot.setAttribute("role", "group");
  plot.setAttribute("aria-label", `${figure.querySelector("h2").textContent}: the arrow keys go from bar to bar`);
  const last = bars.length - 1;
  const moves = { ArrowLeft: (at) => at - 1, ArrowRight: (at) => at + 1, Home: () => 0, End: () => last };
  plot.addEventListener("keydown", (event) => {
    if (event.key === "Escape") return hide();
    if (!moves[event.key]) return;
    event.preventDefault();
    show(current < 0 ? last : Math.max(0, Math.min(last, moves[event.key](current))));
  });
  plot.addEventListener("blur", () => hide());

  // The legend.
  const levels = [...plot.querySelectorAll(".levels text")];
  const redraw = () => {
    const reach = ({ values }) => Math.max(
      on().map(({ index }) => values[index]).reduce((a, b) => (stacked ? a + b : Math.max(a, b)), 0),
      ...ghosts.filter(isOn).map(({ index }) => values[index]),
    );
    const steps = levels.length - 1;
    const wanted = Math.max(1, Math.ceil(Math.max(...bars.map(reach)) / steps));
    const power = 10 ** Math.floor(Math.log10(wanted));
    const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= wanted);
    levels.forEach((label, level) => { label.textContent = short(level * step); });
    const scale = height / (step * steps);
    for (const { node, values } of bars) {
      let top = height;
      for (const { index, isOn } of series) {
        const part = isOn ? values[index] * scale : 0;
        top -= part;
        for (const rect of node.querySelectorAll(`.part-${index}`)) {
          rect.setAttribute("y", top);
          rect.setAttribute("height", part);
        }
      }
    }
    const factor = (Number(figure.dataset.top) * scale) / height;
    const draw = (line, isShown) => {
      line.setAttribute("transform", `translate(0 ${height * (1 - factor)}) scale(1 ${factor})`);
      line.classList.toggle("off", !isShown);
    };
    plot.querySelectorAll(".line").forEach((line) => draw(line, series[line.dataset.series].isOn));
    ghosts.forEach((ghost) => draw(ghost.path, isOn(ghost)));
  };
  if (series.length < 2) return;
  for (const one of series) {
    const button = element("button", "", ...one.item.childNodes);
    button.type = "button";
    button.setAttribute("aria-pressed", "true");
    button.addEventListener("click", () => {
      one.isOn = !one.isOn;
      button.setAttribute("aria-pressed", String(one.isOn));
      redraw();
    });
    one.item.append(button);
  }
}
