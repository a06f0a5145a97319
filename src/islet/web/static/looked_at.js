// Which of a browser's pages follow the stream. A browser opens six connections to a server at most, for all its tabs
// together, and with six streams no page would load any more. So every page follows that is looked at; of the others one
// goes on, for the number in its title, and the rest let go until they are looked at again.

const ONE = "islet.one_hidden_page_follows";

/** Call `follow` when this page is to follow, which may be so already, and `leave` when it has to let go. */
export function whileWanted(follow, leave) {
  let lookedAt = new AbortController();

  function decide() {
    lookedAt.abort();
    lookedAt = new AbortController();
    if (document.visibilityState === "hidden") followAsTheOne(lookedAt.signal, follow, leave);
    else follow();
  }

  document.addEventListener("visibilitychange", decide);
  addEventListener("pagehide", () => {
    document.removeEventListener("visibilitychange", decide); // which comes after this one
    lookedAt.abort();
    leave();
  });
  addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    document.addEventListener("visibilitychange", decide);
    decide();
  });
  decide();
}

/** Stay or become the hidden page that follows, until it is looked at (`signal`). Browsers lend no locks to pages that come
 * without TLS from another machine; those let go. */
async function followAsTheOne(signal, follow, leave) {
  const { locks } = navigator;
  const untilLookedAt = () => new Promise((done) => signal.addEventListener("abort", done));
  let free = false;
  await locks?.request(ONE, { ifAvailable: true }, (lock) => {
    free = lock !== null && !signal.aborted;
    if (free) follow();
    return free ? untilLookedAt() : null;
  });
  if (free || signal.aborted) return;
  leave();
  const turn = locks?.request(ONE, { signal }, () => {
    follow();
    return untilLookedAt();
  });
  await turn?.catch(() => {}); // looked at before its turn came
}
