// Import: files may be dropped, sending shows how far it is, and the page goes on when the server has read them.

import { element, text } from "./page.js";

const PACE_MS = 700;
const form = document.getElementById("import");
const reading = document.getElementById("reading");

if (form) chooseFiles();
if (reading) setTimeout(follow, PACE_MS);

function chooseFiles() {
  const files = document.getElementById("files");
  const drop = document.getElementById("drop");
  document.getElementById("drop-hint").hidden = false;
  for (const type of ["dragenter", "dragover"]) {
    document.addEventListener(type, (event) => {
      event.preventDefault(); // beside the box, too: a browser would leave the page to show the file
      drop.classList.add("over");
    });
  }
  for (const type of ["dragleave", "drop"]) document.addEventListener(type, () => drop.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    if (!event.dataTransfer.files.length) return;
    files.files = event.dataTransfer.files;
    form.requestSubmit();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send([...files.files]);
  });
}

function send(files) {
  const bytes = files.reduce((sum, file) => sum + file.size, 0);
  if (bytes > Number(form.dataset.mostBytes)) {
    refuse(text("import.too_large", { megabytes: form.dataset.mostMb }));
    return;
  }
  const request = new XMLHttpRequest();
  const sent = document.getElementById("sent");
  request.upload.addEventListener("progress", (event) => {
    sent.value = event.total ? event.loaded / event.total : 0;
  });
  request.addEventListener("load", () => {
    if (request.status < 400) location.assign(request.responseURL);
    else refuse(saidIn(request.responseText));
  });
  request.addEventListener("error", () => refuse(text("import.failed")));
  document.getElementById("problem").hidden = true;
  under(true);
  request.open("POST", form.action);
  request.send(new FormData(form));
}

/** What the page that came back says of the refusal. */
function saidIn(html) {
  const page = new DOMParser().parseFromString(html, "text/html");
  return page.getElementById("problem")?.textContent || text("import.failed");
}

function refuse(said) {
  under(false);
  const problem = document.getElementById("problem");
  problem.replaceChildren(element("span", {}, said));
  problem.hidden = false;
  problem.focus();
}

function under(way) {
  document.getElementById("sending").hidden = !way;
  form.querySelector("button").disabled = way;
}

async function follow() {
  const answer = await fetch(reading.dataset.told).catch(() => null);
  const told = answer?.ok ? await answer.json() : null;
  if (answer && (!told || told.state !== reading.dataset.state)) {
    location.reload();
    return;
  }
  if (told) {
    const bar = document.getElementById("read");
    bar.max = told.all_bytes || 1;
    bar.value = told.done_bytes;
  }
  setTimeout(follow, PACE_MS);
}
