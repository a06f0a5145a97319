// The live stream of a page: what comes in is handed on, and a lost connection is shown until it is back.

import { data, now, setClock, text, timeText } from "./page.js";
import { whileWanted } from "./looked_at.js";

const SILENCE_MS = 30_000; // three heartbeats
const OPENING_MS = 3_000; // a page that is looked at again says after that that it is not connected
const RETRY_MS = 2_000;
const RESYNC_MS = 1_000;
const RESYNC_MOST_MS = 30_000;

/**
 * Follow the log from a snapshot's positions. `handlers` holds `readings`, `alerts`, `care_events` (each takes the
 * event's data, and what to call for a new snapshot a little later) and `resync` (take a new snapshot); `patient` limits
 * the stream to one. What is returned goes on from the positions of a new snapshot: the store is a little behind the log,
 * so what came meanwhile may not be in it.
 */
export function follow(positions, handlers, patient = null) {
  const status = document.getElementById("connection");
  const lost = document.getElementById("lost");
  let reached = positions;
  let source = null;
  let silence = null;
  let retry = null;
  let resyncIn = RESYNC_MS;
  let asked = 0;

  function open() {
    close();
    const query = new URLSearchParams({ from: reached });
    if (patient !== null) query.set("patient", patient);
    source = new EventSource(`/live?${query}`);
    source.onopen = () => show(true);
    source.onerror = () => {
      show(false);
      if (source.readyState === EventSource.CLOSED) again();
    };
    on("clock", (clock) => {
      setClock(clock);
      show(true);
    });
    for (const name of ["readings", "alerts", "care_events"]) on(name, (given) => handlers[name]?.(given, resyncLater));
    on("resync", resyncLater);
    listen();
    const opening = source;
    setTimeout(() => opening === source && opening.readyState === EventSource.CONNECTING && show(false), OPENING_MS);
  }

  function close() {
    clearTimeout(silence);
    clearTimeout(retry);
    source?.close();
    source = null;
  }

  /** The number in the title is that of a page that follows. */
  function leave() {
    close();
    document.title = document.title.replace(/^\(\d+\) /, "");
  }

  /** Once for all that ask meanwhile, and later each time while the store is far behind the log. */
  function resyncLater() {
    if (Date.now() < asked) return;
    if (Date.now() - asked > RESYNC_MOST_MS) resyncIn = RESYNC_MS;
    asked = Date.now() + resyncIn;
    setTimeout(handlers.resync, resyncIn);
    resyncIn = Math.min(2 * resyncIn, RESYNC_MOST_MS);
  }

  function on(name, handle) {
    source.addEventListener(name, (event) => {
      if (event.lastEventId) reached = event.lastEventId;
      listen();
      handle(JSON.parse(event.data));
    });
  }

  function listen() {
    clearTimeout(silence);
    silence = setTimeout(() => {
      show(false);
      source.close();
      again();
    }, SILENCE_MS);
  }

  async function again() {
    clearTimeout(silence);
    const ended = source;
    try {
      if ((await fetch("/api/clock")).status === 401) {
        location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
        return;
      }
    } catch {
      // the server is away; the banner says so
    }
    if (source === ended) retry = setTimeout(open, RETRY_MS);
  }

  function show(connected) {
    document.documentElement.dataset.connection = connected ? "on" : "lost";
    status.hidden = false;
    status.textContent = text(connected ? "live.on" : "live.off");
    if (!connected && lost.hidden) {
      const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
      lost.textContent = text("live.lost", { time: timeText(now(), zone) });
    }
    lost.hidden = connected;
  }

  function goOnFrom(newer) {
    reached = newer;
    if (source !== null) open();
  }

  whileWanted(() => source ?? open(), leave);
  return goOnFrom;
}

/** JSON of a path of ours. */
export async function load(path) {
  const response = await fetch(path, { headers: { accept: "application/json" } });
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  const content = await response.json();
  setClock({ now_us: content.now_us, speed: data.clock.speed });
  return content;
}
