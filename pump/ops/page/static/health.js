// What changes on the health page, once a second. Texts come into the page as texts.
import { well } from "./common.js";

const KEPT = 60; // points of a sparkline
const fresh = document.getElementById("fresh");
const seen = new Map();

function spark(part, element) {
  const line = element.querySelector(".spark polyline");
  if (!line) return;
  const points = seen.get(part.part) ?? { last: part.rate, values: [] };
  points.values.push(part.kind === "sink" ? part.lag : Math.max(0, part.rate - points.last));
  points.last = part.rate;
  if (points.values.length > KEPT) points.values.shift();
  seen.set(part.part, points);
  const most = Math.max(1, ...points.values);
  const begin = KEPT - points.values.length; // now is at the right
  const place = (value, index) => `${((100 * (begin + index)) / (KEPT - 1)).toFixed(1)},${(22 - (20 * value) / most).toFixed(1)}`;
  line.setAttribute("points", points.values.map(place).join(" "));
}

function show({ reasons, parts, stores, jobs }) {
  well(reasons);
  for (const part of parts) {
    const element = document.querySelector(`[data-part="${CSS.escape(part.part)}"]`);
    if (!element) continue;
    element.className = `part ${part.state}`;
    element.querySelector(".tag").className = `tag ${part.state}`;
    for (const field of element.querySelectorAll("[data-f]")) field.textContent = part[field.dataset.f] ?? "";
    for (const { name, value } of part.figures) {
      const field = element.querySelector(`[data-figure="${name}"]`);
      if (field) field.textContent = value;
    }
    spark(part, element);
  }
  for (const store of stores) {
    const element = document.querySelector(`[data-store="${store.name}"]`);
    element.querySelector("[data-f]").textContent = store.used;
    element.querySelector(".part").setAttribute("width", store.share);
  }
  const rows = document.getElementById("job-rows")?.rows ?? [];
  jobs.slice(0, rows.length).forEach((job, index) => {
    const [tag, said] = rows[index].cells[4].children;
    tag.className = `tag ${job.tag}`;
    tag.textContent = job.state;
    said.textContent = job.said;
  });
}

async function look() {
  try {
    const answer = await fetch("/health/now", { headers: { Accept: "application/json" } });
    if (!answer.ok) throw new Error(answer.statusText);
    show(await answer.json());
    fresh.textContent = fresh.dataset.live;
    fresh.className = "state on";
  } catch {
    fresh.textContent = fresh.dataset.away;
    fresh.className = "state off";
  }
  setTimeout(look, 1000);
}

look();
