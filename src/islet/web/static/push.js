// The service worker: shows what was pushed, and carries the answer back. It holds no words of its own.

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("push", (event) => {
  const said = event.data.json();
  event.waitUntil(
    self.registration.showNotification(said.title, {
      body: said.text,
      tag: said.tag, // a later message of the same alert takes the place of an earlier one
      renotify: !said.silent,
      silent: said.silent,
      requireInteraction: said.urgent && !said.silent,
      icon: "/static/logo.svg",
      data: { token: said.token },
      actions: said.token && !said.silent ? [{ action: "acknowledge", title: said.button }] : [],
    }),
  );
});

self.addEventListener("notificationclick", (event) => {
  const { token } = event.notification.data;
  event.notification.close();
  const acknowledges = event.action === "acknowledge" && token;
  event.waitUntil(acknowledges ? acknowledge(token) : open("/alerts"));
});

/** Where that fails, the page where one can do it by hand. */
async function acknowledge(token) {
  const path = `/acknowledge/${encodeURIComponent(token)}`;
  const response = await fetch(path, { method: "POST" }).catch(() => null);
  if (!response?.ok) await open(path);
}

async function open(path) {
  const windows = await self.clients.matchAll({ type: "window" });
  const [window] = windows.filter((one) => new URL(one.url).pathname === path);
  return window ? window.focus() : self.clients.openWindow(path);
}
