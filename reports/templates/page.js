"use strict";
// Draws each figure when it comes into view, and switches themes and cells. All data is in the page as JSON.
const root = document.documentElement;
const read = (id) => JSON.parse(document.getElementById(id).textContent);
const themes = read("themes");
const plots = [...document.querySelectorAll(".plot")];

const theme = () => root.dataset.theme;
const isShown = (element) => element.offsetParent !== null;

function draw(plot) {
  if (plot.dataset.drawn || !isShown(plot)) return;
  plot.dataset.drawn = theme();
  const { data, layout } = read(plot.id + "-data");
  if (data[0].type === "heatmap") layout.height = Math.min(layout.height, plot.clientWidth + 170); // a square, on a phone too
  const look = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d"] };
  Plotly.newPlot(plot, data, { ...layout, ...themes[theme()] }, look);
}

function restyle(plot) {
  if (!plot.dataset.drawn || plot.dataset.drawn === theme() || !isShown(plot)) return;
  plot.dataset.drawn = theme();
  Plotly.relayout(plot, themes[theme()]);
}

function setTheme(name) {
  root.dataset.theme = name;
  document.getElementById("theme").textContent = name === "dark" ? "light" : "dark";
  plots.forEach(restyle);
}

function showCell(key) {
  for (const part of document.querySelectorAll("[data-cell]")) part.hidden = part.dataset.cell !== key;
  for (const plot of plots) {
    restyle(plot);
    if (plot.dataset.drawn && isShown(plot)) Plotly.Plots.resize(plot); // the window may be another since
  }
}

function sortBy(header) {
  const index = [...header.parentElement.children].indexOf(header);
  const up = header.getAttribute("aria-sort") === "descending";
  for (const other of header.parentElement.children) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", up ? "ascending" : "descending");
  const body = header.closest("table").tBodies[0];
  const value = (row) => row.children[index].dataset.value;
  const isUnknown = (row) => row.children[index].textContent === "-";
  const compare = (a, b) => {
    if (isUnknown(a) || isUnknown(b)) return isUnknown(a) - isUnknown(b); // last, either way
    const order = value(a) - value(b);
    return (Number.isNaN(order) ? value(a).localeCompare(value(b)) : order) * (up ? 1 : -1);
  };
  body.append(...[...body.rows].sort(compare));
}

function csv({ columns, cells }) {
  const quoted = (value) => {
    const text = value === null ? "" : String(value);
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [columns, ...cells.map((cell) => columns.map((name) => cell[name]))]
    .map((row) => row.map(quoted).join(",") + "\r\n")
    .join("");
}

function download(name, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

setTheme(matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", (query) => setTheme(query.matches ? "dark" : "light"));
document.getElementById("theme").addEventListener("click", () => setTheme(theme() === "dark" ? "light" : "dark"));
document.getElementById("cell")?.addEventListener("change", (event) => showCell(event.target.value));
document.getElementById("csv")?.addEventListener("click", () => download("cells.csv", csv(read("records"))));
for (const button of document.querySelectorAll("#cells thead button")) {
  button.addEventListener("click", () => sortBy(button.closest("th")));
}

const seen = new IntersectionObserver(
  (entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => draw(entry.target)),
  { rootMargin: "600px" },
);
plots.forEach((plot) => seen.observe(plot));

let before = "";
addEventListener("beforeprint", () => {
  before = theme();
  root.classList.add("printing"); // as wide as paper, so that what is drawn now fits on it
  setTheme("light");
  plots.forEach(draw);
  plots.filter(isShown).forEach((plot) => Plotly.Plots.resize(plot));
});
addEventListener("afterprint", () => {
  root.classList.remove("printing");
  setTheme(before);
  plots.filter((plot) => plot.dataset.drawn && isShown(plot)).forEach((plot) => Plotly.Plots.resize(plot));
});
