import { localTimes, pictures } from "./common.js";

const list = document.getElementById("rows");
pictures();
if (list) localTimes(list, list.dataset);
for (const form of document.querySelectorAll(".filters")) {
  form.addEventListener("submit", () => {
    for (const field of form.elements) if (field.value === "") field.disabled = true; // a short address
  });
}
addEventListener("pageshow", () => {
  for (const field of document.querySelectorAll(".filters [disabled]")) field.disabled = false;
});
