// The account page: this browser's subscription to Web Push.

import { data, text } from "./page.js";

const button = document.getElementById("push");
const state = document.getElementById("push-state");
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
for (const field of document.querySelectorAll("[data-zone]")) field.value = zone;

/** The key as browsers want it: bytes. */
function bytes(base64url) {
  const base64 = base64url.replaceAll("-", "+").replaceAll("_", "/");
  return Uint8Array.from(atob(base64), (one) => one.charCodeAt(0));
}

async function subscribe() {
  button.disabled = true;
  try {
    if ((await Notification.requestPermission()) !== "granted") throw new Error("denied");
    const registration = await navigator.serviceWorker.register("/push.js");
    await navigator.serviceWorker.ready;
    const old = await registration.pushManager.getSubscription();
    const key = { userVisibleOnly: true, applicationServerKey: bytes(data.push_key) };
    const subscription = old ?? (await registration.pushManager.subscribe(key));
    const body = JSON.stringify({ subscription, time_zone: zone });
    const response = await fetch("/account/push", { method: "POST", body, headers: { "content-type": "application/json" } });
    if (!response.ok) throw new Error(String(response.status));
    location.assign("/account?said=kept");
  } catch (error) {
    button.disabled = false;
    state.textContent = error.message === "denied" ? text("push.denied") : text("push.failed");
    state.className = "problem";
  }
}

if (button) {
  const able = "serviceWorker" in navigator && "PushManager" in window && "Notification" in window;
  button.hidden = !able;
  if (!able) state.textContent = text("push.unable");
  button.addEventListener("click", subscribe);
}
