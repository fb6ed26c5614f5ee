(() => {
  const live = document.getElementById("live");
  const state = document.getElementById("live-state");
  let version = null;
  const say = (text) => { if (state.textContent !== text) state.textContent = text; };
  const ask = async () => {
    try {
      const answer = await fetch(live.dataset.live, { cache: "no-store" });
      if (!answer.ok) throw new Error(answer.statusText);
      const said = await answer.json();
      version ??= said.version;
      Object.entries(said.parts).forEach(([id, html]) => {
        const part = document.getElementById(id);
        if (part.dataset.shown === html) return;
        part.dataset.shown = html;
        const places = [...part.querySelectorAll(".scroll, .log")].map((each) => [each.scrollTop, each.scrollHeight - each.clientHeight - each.scrollTop < 5]);
        const inside = part.contains(document.activeElement) ? [...part.querySelectorAll("[tabindex]")].indexOf(document.activeElement) : -1;
        part.innerHTML = html;
        [...part.querySelectorAll(".scroll, .log")].forEach((each, number) => {
          const [top, bottom] = places[number] || [0, true];
          each.scrollTop = bottom && each.classList.contains("log") ? each.scrollHeight : top;
        });
        if (inside >= 0) part.querySelectorAll("[tabindex]")[inside]?.focus({ preventScroll: true });
      });
      say(said.version === version ? "Up to date each second." : "There are new results: load this page again to see them below.");
    } catch {
      say("The server does not answer: it has ended, or this page was left open.");
    }
    setTimeout(ask, 1000);
  };
  ask();
})();
