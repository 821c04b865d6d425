// The list that flows. Every text comes into the page as text, never as markup.
import { localTimes, pictures, well } from "./common.js";

const KEPT = 250; // rows; of more the oldest go
const AT_ONCE = 20; // rows that one frame of the screen takes
const CALM = 8; // of more at a time none is lit up: whoever could see it, a screen full of fading rows is slow

const list = document.getElementById("rows");
const state = document.getElementById("state");
const more = document.getElementById("more");
const none = document.getElementById("none");
const skippedNote = document.getElementById("skipped");
const shape = document.getElementById("row").content.firstElementChild;
const mediaToo = list.dataset.media === "1";

let last = list.dataset.after;
let source = null;
let waiting = []; // rows that wait for the reader to come back to the top
let due = []; // rows for the next frame
let skipped = 0;

function element(row, calm) {
  const made = shape.cloneNode(true);
  made.id = `e${row.n}`;
  made.dataset.id = row.id;
  made.className = `row ${row.severity}${calm ? " fresh" : ""}`;
  for (const part of made.querySelectorAll("[data-f]")) part.textContent = row[part.dataset.f] ?? "";
  if (row.notes) made.querySelector(".noted").textContent = ""; // its alarm's row has it
  made.querySelector("time").setAttribute("datetime", row.time);
  made.querySelector(".what a").setAttribute("href", `/event/${Number(row.n)}`);
  if (row.picture) show(made, row.picture);
  localTimes(made, list.dataset);
  return made;
}

function show(row, picture) {
  if (!/^\/media\/[0-9a-f]{64}$/.test(picture)) return;
  const link = document.createElement("a");
  const image = document.createElement("img");
  link.href = picture;
  image.src = picture + list.dataset.thumbnails;
  image.alt = list.dataset.alt;
  image.width = 80;
  image.height = 45;
  image.loading = "lazy";
  link.append(image);
  row.querySelector(".thumb").replaceChildren(link);
}

// Of an earlier row, shown or waiting, somebody has taken note, or its picture has come.
function mark({ updates, picture, notes, noted }) {
  const id = notes || updates;
  const coming = due.find((row) => row.id === id) ?? waiting.find((row) => row.id === id);
  const known = list.querySelector(`[data-id="${CSS.escape(id)}"]`);
  if (notes) {
    if (coming) coming.noted ||= noted;
    const said = known?.querySelector(".noted");
    if (said && !said.textContent) said.textContent = noted;
  } else if (picture) {
    if (coming) coming.picture ||= picture;
    if (known && !known.querySelector("img")) show(known, picture);
  }
}

function draw() {
  const calm = due.length <= CALM;
  const rows = due.splice(0, AT_ONCE);
  const fresh = document.createDocumentFragment();
  const found = (selector) => fresh.querySelector(selector) ?? list.querySelector(selector);
  for (const row of rows) {
    if (row.notes) {
      const alarm = found(`[data-id="${CSS.escape(row.notes)}"] .noted`);
      if (alarm) alarm.textContent = row.noted;
    }
    if (row.updates && !mediaToo) {
      const known = found(`[data-id="${CSS.escape(row.updates)}"]`);
      if (known && row.picture && !known.querySelector("img")) show(known, row.picture);
    } else if (!found(`#e${Number(row.n)}`)) {
      fresh.prepend(element(row, calm));
    }
  }
  list.prepend(fresh);
  while (list.children.length > KEPT) list.lastElementChild.remove();
  none.hidden = list.children.length > 0;
  if (due.length) requestAnimationFrame(draw);
}

function take(rows) {
  if (scrollY > 120 || waiting.length) {
    waiting.push(...rows);
    if (waiting.length > KEPT) waiting = waiting.slice(-KEPT);
    const count = waiting.filter((row) => mediaToo || !row.updates).length;
    more.hidden = count === 0;
    more.textContent = count === 1 ? more.dataset.one : more.dataset.many.replace("{}", count);
    return;
  }
  if (!due.length) (document.hidden ? setTimeout : requestAnimationFrame)(draw);
  due.push(...rows);
  if (due.length > KEPT) due = due.slice(-KEPT);
}

function release() {
  const rows = waiting;
  waiting = [];
  more.hidden = true;
  if (rows.length) take(rows);
}

function shown(words, kind) {
  state.textContent = words;
  state.className = `state ${kind}`;
}

function connect() {
  source = new EventSource(`/live?${list.dataset.query}${list.dataset.query ? "&" : ""}after=${last}`);
  source.addEventListener("open", () => shown(state.dataset.live, "on"));
  source.addEventListener("rows", (event) => {
    if (event.lastEventId) last = event.lastEventId;
    take(JSON.parse(event.data));
  });
  source.addEventListener("marks", (event) => JSON.parse(event.data).forEach(mark));
  source.addEventListener("skipped", (event) => {
    skipped += JSON.parse(event.data).count;
    skippedNote.hidden = false;
    skippedNote.textContent = skippedNote.dataset.said.replace("{}", skipped);
  });
  source.addEventListener("well", (event) => well(JSON.parse(event.data).reasons));
  source.addEventListener("error", () => {
    shown(state.dataset.away, "off");
    if (source.readyState !== EventSource.CLOSED) return; // it comes again by itself
    setTimeout(connect, 1500 + Math.random() * 1000);
  });
}

pictures();
localTimes(document, list.dataset);
for (const field of document.querySelectorAll(".filters select, .filters input[type=checkbox]")) {
  field.addEventListener("change", () => field.form.requestSubmit());
}
for (const form of document.querySelectorAll(".filters")) {
  form.addEventListener("submit", () => {
    for (const field of form.elements) if (field.value === "") field.disabled = true; // a short address
  });
}
addEventListener("pageshow", () => {
  for (const field of document.querySelectorAll(".filters [disabled]")) field.disabled = false;
});
if (list.dataset.still !== "1") {
  more.addEventListener("click", () => {
    scrollTo({ top: 0 });
    release();
  });
  addEventListener("scroll", () => scrollY < 60 && release(), { passive: true });
  addEventListener("pagehide", () => source?.close());
  addEventListener("pageshow", (event) => event.persisted && connect());
  connect();
}
