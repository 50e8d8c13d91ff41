// Winds up the clock that turns the page grey, and nothing else of weight: htmx hears
// that something changed, asks for the page again and exchanges the parts that differ.
//
// The style sheet turns the page grey after 25 seconds on its own; only a page that has
// really arrived winds that clock up again (wind). If a script fails, grey is what is left.
"use strict";
(() => {
  const root = document.documentElement, part = id => document.getElementById(id);
  const print = document.querySelector("[data-print]");
  if (print) { print.hidden = false; print.addEventListener("click", () => window.print()); }
  const { leave, leaveTo } = document.body.dataset; // a sheet that names somebody, when the session has ended
  if (leave) setTimeout(() => location.replace(leaveTo), leave * 1000);
  const again = part("again"), age = part("age");
  if (!again || !age) return; // nothing here changes by itself

  let last = Date.now();
  function tell() { age.textContent = age.dataset.ago.replace("%", Math.round((Date.now() - last) / 1000)); }
  root.classList.add("told");
  age.hidden = false;
  tell();
  setInterval(tell, 1000);

  function wind(old) {
    const other = root.classList.contains("beat-a") ? "beat-b" : "beat-a";
    root.classList.remove("beat-a", "beat-b");
    root.classList.add(other);
    root.classList.toggle("old", old);
    last = Date.now();
    tell();
  }

  // Who hears the page is told the state when it is another one, at most once a minute: the
  // figures in its sentence change with each image.
  const spoken = part("spoken");
  let heard = part("say")?.innerText, from = 0, later = 0;
  function speak() {
    clearTimeout(later);
    const now = part("say")?.innerText, rest = from + 60000 - Date.now();
    if (!spoken || now === heard) return;
    if (rest > 0) { later = setTimeout(speak, rest); return; }
    spoken.textContent = heard = now;
    from = Date.now();
  }

  // Where somebody fills in a form nothing moves, and nothing becomes another's.
  const filling = part => part?.querySelector("details[open] form") ||
    part?.contains(document.activeElement) && document.activeElement.matches("input, select, textarea");

  // What came is a page when it has what every page has; an error has not.
  let arrived = false;
  again.addEventListener("htmx:before:swap", e => {
    const { ctx, tasks } = e.detail;
    arrived = ctx.response.status === 200 && tasks.some(t => t.target?.id === "updated");
    if (!arrived) e.preventDefault();
    for (let i = tasks.length - 1; i >= 0; i--) if (filling(tasks[i].target)) tasks.splice(i, 1);
  });
  again.addEventListener("htmx:after:swap", () => { if (!arrived) return; wind("old" in part("updated").dataset); speak(); });

  // Any event, a beat too, says that it is worth asking: at most once a second.
  const ask = () => again.dispatchEvent(new Event("changed"));
  document.addEventListener("htmx:sse:after:message", ask);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) ask(); });
  document.addEventListener("animationstart", e => { if (e.target === part("stale")) document.title = part("stale").dataset.word; });
})();
