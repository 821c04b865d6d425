// Parts of every page that runs scripts.

/** Says in the head of the page whether all is well. */
export function well(reasons) {
  const chip = document.getElementById("well");
  if (!chip) return;
  chip.className = `well ${reasons ? "bad" : "good"}`;
  const { good, one, many } = chip.dataset;
  chip.textContent = reasons === 0 ? good : reasons === 1 ? one : many.replace("{}", reasons);
}

const mine = Intl.DateTimeFormat().resolvedOptions().timeZone;
const clocks = new Map(); // a formatter costs more than all the rest of a row

function clock(zone) {
  const made = clocks.get(zone) ?? new Intl.DateTimeFormat(document.documentElement.lang, { timeStyle: "medium", timeZone: zone });
  clocks.set(zone, made);
  return made;
}

/** Gives each time the reader's own beside the site's, where they differ. */
export function localTimes(within, { zone, yours }) {
  if (!zone || zone === mine) return;
  for (const time of within.querySelectorAll("time[datetime]")) {
    const moment = new Date(time.getAttribute("datetime"));
    if (Number.isNaN(moment.getTime())) continue;
    const here = clock(mine).format(moment);
    const there = clock(zone).format(moment);
    const said = yours.replace("{}", here);
    time.title = said;
    if (here !== there && time.parentElement.classList.contains("when")) {
      const span = time.parentElement.querySelector(".yours") ?? document.createElement("span");
      span.className = "yours";
      span.textContent = said;
      time.parentElement.append(span);
    }
  }
}

/** A picture that is gone, or none that this browser can show, gives way to its words; the link stays. */
export function pictures() {
  const giveWay = (image) => image.replaceWith(image.alt);
  for (const image of document.images) if (image.complete && !image.naturalWidth && image.loading !== "lazy") giveWay(image);
  document.addEventListener("error", (event) => event.target instanceof HTMLImageElement && giveWay(event.target), true);
}
