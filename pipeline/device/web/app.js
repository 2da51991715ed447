// Runs files of pipeline.export in the browser, by LiteRT.js, and says what they answer and how long they take.

import { loadAndCompile, loadLiteRt, Tensor } from "./runtime/core.js";
import { decoded } from "./decode.js";
import { resized } from "./resize.js";

const SHOWN = 5; // classes
const RUNS = 50;
const WARM_UP = 5;
const NONE = "none of these";

const by = (id) => document.getElementById(id);
const loaded = new Map(); // file -> Promise<Model>
const ready = loadLiteRt(new URL("runtime/wasm/", location.href).href);
let picture = null; // pixels of the one that was chosen last
let queue = Promise.resolve(); // of handlers: one after the other, since all use the same models

/** A file and what its card says of it. */
class Model {
  constructor(card, compiled) {
    this.card = card;
    this.compiled = compiled;
  }

  get label() {
    return `${this.card.cell}, ${this.card.precision}`;
  }

  /** RGB bytes at the file's resolution -> probabilities. */
  async answer(bytes) {
    const { side, precision } = this.card;
    const tensor = new Tensor(bytes, [1, side, side, 3]);
    const results = await this.compiled.run(tensor);
    const given = await results[0].data();
    const probabilities = Array.from(given, (value) => (precision === "int8" ? value / 256 : value));
    tensor.delete();
    for (const result of results) result.delete();
    return probabilities;
  }
}

/** The class names of the `count` largest, and "none of these" where even the largest is too small. */
export function told(card, probabilities, count = SHOWN) {
  const order = probabilities.map((_, index) => index).sort((a, b) => probabilities[b] - probabilities[a] || a - b);
  const top = order.slice(0, count).map((index) => ({ name: card.class_names[index], probability: probabilities[index] }));
  return { answer: top[0].probability < card.reject_below ? NONE : top[0].name, top };
}

function chosen() {
  return [...new Set([by("first").value, by("second").value])].filter((file) => file);
}

function model(file) {
  if (!loaded.has(file)) {
    const made = load(file);
    made.catch(() => loaded.delete(file)); // so that it is tried again
    loaded.set(file, made);
  }
  return loaded.get(file);
}

async function load(file) {
  await ready;
  const response = await fetch(encodeURIComponent(file.replace(/\.tflite$/, ".json")));
  if (!response.ok) throw new Error(`its card is not there (${response.status})`);
  return new Model(await response.json(), await loadAndCompile(encodeURIComponent(file), { accelerator: "wasm" }));
}

function say(text, isError = false) {
  by("status").textContent = text;
  by("status").classList.toggle("error", isError);
}

/** Asks every chosen model about the picture that is there. */
async function ask() {
  if (!picture) return;
  const articles = [];
  for (const file of chosen()) {
    const asked = await model(file);
    const bytes = resized(picture, asked.card.side);
    const begun = performance.now();
    const probabilities = await asked.answer(bytes);
    articles.push(article(asked, told(asked.card, probabilities), performance.now() - begun));
  }
  by("answers").replaceChildren(...articles);
  say("");
}

function article(asked, { answer, top }, milliseconds) {
  const shown = document.createElement("article");
  const heading = Object.assign(document.createElement("h3"), { textContent: asked.label });
  const best = Object.assign(document.createElement("p"), { className: "best", textContent: answer });
  const list = document.createElement("ol");
  for (const { name, probability } of top) {
    const item = Object.assign(document.createElement("li"), { textContent: `${name} ${(100 * probability).toFixed(1)} %` });
    item.append(Object.assign(document.createElement("meter"), { value: probability }));
    list.append(item);
  }
  const time = Object.assign(document.createElement("p"), { textContent: `${milliseconds.toFixed(1)} ms` });
  shown.append(heading, best, list, time);
  return shown;
}

/** Times the chosen models, one after the other, on a picture of noise. */
async function measure() {
  const lines = [];
  const rows = [];
  for (const file of chosen()) {
    const timed = await model(file);
    say(`Measuring ${timed.label} …`);
    await new Promise((go) => setTimeout(go)); // so that it is seen
    const bytes = Uint8Array.from({ length: 3 * timed.card.side ** 2 }, () => 256 * Math.random());
    const taken = [];
    for (let run = -WARM_UP; run < RUNS; run++) {
      const begun = performance.now();
      await timed.answer(bytes);
      if (run >= 0) taken.push(performance.now() - begun);
    }
    taken.sort((a, b) => a - b);
    const [half, most] = [0.5, 0.95].map((part) => taken[Math.ceil(part * RUNS) - 1]);
    lines.push([timed.label, half.toFixed(2), most.toFixed(2)]);
    rows.push([timed.card.cell, timed.card.precision, half.toFixed(3), most.toFixed(3), RUNS, navigator.userAgent]);
  }
  const table = document.querySelector("#latency table");
  table.tBodies[0].replaceChildren(
    ...lines.map(([name, ...times]) => {
      const row = document.createElement("tr");
      row.append(Object.assign(document.createElement("th"), { scope: "row", textContent: name }));
      row.append(...times.map((textContent) => Object.assign(document.createElement("td"), { textContent })));
      return row;
    }),
  );
  table.hidden = document.querySelector(".rows").hidden = false;
  const quoted = (cell) => (/[",]/.test(cell) ? `"${String(cell).replaceAll('"', '""')}"` : cell);
  const header = ["cell", "precision", "p50_ms", "p95_ms", "runs", "device"];
  by("rows").value = [header, ...rows].map((row) => row.map(quoted).join(",")).join("\n");
  say("");
}

/** A handler that waits for those before it; what goes wrong in it is said on the page. */
function guarded(handler) {
  return () => {
    by("answers").ariaBusy = "true";
    const mine = queue.then(handler).catch((error) => say(`That did not work: ${error.message ?? error}`, true));
    queue = mine.then(() => {
      if (queue === last) by("answers").ariaBusy = "false";
    });
    const last = queue;
  };
}

async function start() {
  const files = await (await fetch("models.json")).json();
  for (const [id, none] of [["first", false], ["second", true]]) {
    const options = files.map((file) => new Option(file.replace(/\.tflite$/, ""), file));
    by(id).replaceChildren(...(none ? [new Option("no other", "")] : []), ...options);
    by(id).addEventListener("change", guarded(ask));
  }
  by("picture").addEventListener("change", guarded(take));
  by("measure").addEventListener("click", guarded(measure));
  by("copy").addEventListener("click", guarded(copy));
  by("measure").disabled = false; // which waits its turn, too
  await model(by("first").value);
  say("Ready.");
  if (by("picture").files.length) await take(); // of one who was faster than the page
}

async function take() {
  const [file] = by("picture").files;
  if (!file) return;
  say("Reading the picture …");
  by("answers").replaceChildren();
  picture = null;
  by("shown").hidden = true;
  try {
    picture = await decoded(file);
  } catch {
    throw new Error(`${file.name} is no picture that this browser can read`);
  }
  URL.revokeObjectURL(by("shown").src);
  by("shown").src = URL.createObjectURL(file);
  by("shown").hidden = false;
  await ask();
}

async function copy() {
  by("rows").select();
  if (navigator.clipboard) await navigator.clipboard.writeText(by("rows").value);
  else document.execCommand("copy"); // pages without https have no clipboard
  say("Copied.");
}

guarded(start)();
