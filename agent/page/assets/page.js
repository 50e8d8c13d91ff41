// Keeps the page fresh: hears that something changed, fetches the page again
// and exchanges the parts that differ. Nothing here knows what the parts mean.
//
// The style sheet turns the page grey after 25 seconds on its own; only a page
// that has really arrived winds that clock up again (wind). If this script
// fails, grey is what is left.
"use strict";
(() => {
  const parts = ["state", "updated", "counters", "studies", "line", "devices", "warnings"];
  const root = document.documentElement;
  let busy = false, again = false, last = Date.now();

  function wind(old) {
    const other = root.classList.contains("beat-a") ? "beat-b" : "beat-a";
    root.classList.remove("beat-a", "beat-b");
    root.classList.add(other);
    root.classList.toggle("old", old);
  }

  // The sentence is read aloud when it changes: leave it alone when it has not.
  function exchange(id, fresh) {
    const here = document.getElementById(id), there = fresh.getElementById(id);
    if (!here || !there) { location.reload(); return; } // another version of the page
    for (const open of here.querySelectorAll("details[open][id]")) fresh.getElementById(open.id)?.setAttribute("open", "");
    if (here.outerHTML === there.outerHTML) return;
    if (id === "state") {
      here.className = there.className;
      exchange("say", fresh);
      exchange("last", fresh);
      here.querySelector("svg").replaceWith(there.querySelector("svg"));
    } else if (id === "say") {
      if (here.textContent !== there.textContent) here.replaceChildren(...there.childNodes);
    } else {
      here.replaceWith(there);
    }
  }

  async function refresh() {
    if (busy) { again = true; return; }
    busy = true;
    try {
      const answer = await fetch(location.href, { cache: "no-store", signal: AbortSignal.timeout(10000) });
      if (!answer.ok) return;
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (!fresh.getElementById("state")) return;
      for (const id of parts) exchange(id, fresh);
      document.title = fresh.title;
      wind(fresh.documentElement.classList.contains("old"));
      last = Date.now();
    } catch {
      // No contact: the style sheet is counting.
    } finally {
      busy = false;
      // At most about one refresh a second, however fast images arrive.
      if (again) { again = false; setTimeout(refresh, 1000); }
    }
  }

  document.addEventListener("animationstart", (e) => {
    const stale = document.getElementById("stale");
    if (e.target === stale) document.title = stale.dataset.word;
  });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });

  const events = new EventSource("/api/v1/events");
  for (const kind of ["hello", "beat", "status", "studies", "devices"]) events.addEventListener(kind, refresh);
  // Without events (a proxy in between, too many pages open) ask anyway.
  setInterval(() => { if (Date.now() - last > 14000) refresh(); }, 5000);
})();
