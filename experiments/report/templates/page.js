"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  all(".needs-js").forEach((each) => { each.hidden = false; });

  // Colours: as the system, light, dark.
  const theme = document.getElementById("theme");
  const themes = ["", "light", "dark"];
  const recall = () => { try { return localStorage.getItem("theme") || ""; } catch { return ""; } };
  const wear = (name) => {
    if (name) document.documentElement.dataset.theme = name;
    else delete document.documentElement.dataset.theme;
    theme.textContent = `Colours: ${name || "as the system"}`;
    try { localStorage.setItem("theme", name); } catch { /* a page without storage forgets it */ }
  };
  let worn = Math.max(0, themes.indexOf(recall()));
  wear(themes[worn]);
  theme.addEventListener("click", () => { worn = (worn + 1) % themes.length; wear(themes[worn]); });

  // Values on hover: what a shape's title says, at once.
  const tip = document.getElementById("tip");
  all("svg rect > title").forEach((title) => {
    title.parentNode.dataset.tip = title.textContent;
    title.remove();
  });
  document.addEventListener("pointermove", (event) => {
    const over = event.target.closest ? event.target.closest("[data-tip]") : null;
    tip.hidden = !over;
    if (!over) return;
    tip.textContent = over.dataset.tip;
    const { width, height } = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - width - 8))}px`;
    tip.style.top = `${event.clientY + 18 + height > innerHeight ? event.clientY - height - 10 : event.clientY + 18}px`;
  });

  // One series of bars at a time.
  all(".charts").forEach((charts, number) => {
    const series = all(".series", charts);
    if (series.length < 2) return;
    const label = document.createElement("label");
    label.textContent = "Show ";
    const choice = document.createElement("select");
    choice.id = `series-${number}`;
    series.forEach((each) => choice.add(new Option(each.dataset.title, each.dataset.series)));
    label.append(choice);
    const tools = document.createElement("div");
    tools.className = "tools";
    tools.append(label);
    series[0].before(tools);
    const show = () => series.forEach((each) => { each.hidden = each.dataset.series !== choice.value; });
    choice.addEventListener("change", show);
    show();
  });

  // Claims by outcome and by words.
  const filters = document.getElementById("filters");
  if (filters) {
    const claims = all(".claim").map((node) => [node, node.textContent.toLowerCase()]);
    const sift = () => {
      const outcomes = new Set(all("input[name=outcome]:checked", filters).map((box) => box.value));
      const words = filters.elements.words.value.toLowerCase().split(/\s+/).filter(Boolean);
      let count = 0;
      claims.forEach(([node, text]) => {
        const fits = outcomes.has(node.dataset.outcome) && words.every((word) => text.includes(word));
        node.hidden = !fits;
        count += fits ? 1 : 0;
      });
      document.getElementById("shown").textContent = `${count} of ${claims.length} claims shown`;
    };
    filters.addEventListener("input", sift);
    filters.addEventListener("submit", (event) => event.preventDefault());
    sift();
  }

  // Gantt charts: the time axis is zoomed, rows keep their height.
  all(".gantt svg").forEach((svg) => {
    const card = svg.closest(".card");
    const box = svg.viewBox.baseVal;
    const whole = box.width;
    const seconds = Number(svg.dataset.seconds);
    const words = (x) => `${Number((x / whole * seconds).toPrecision(4))} s`;
    let from = 0;
    let width = whole;
    const look = (start, wide) => {
      width = Math.min(whole, Math.max(whole / 500, wide));
      from = Math.min(whole - width, Math.max(0, start));
      svg.setAttribute("viewBox", `${from} 0 ${width} ${box.height}`);
      card.querySelector(".from").textContent = words(from);
      card.querySelector(".to").textContent = words(from + width);
    };
    const zoom = (factor, at = 0.5) => look(from + width * at * (1 - factor), width * factor);
    const moves = {
      in: () => zoom(0.5),
      out: () => zoom(2),
      left: () => look(from - width / 4, width),
      right: () => look(from + width / 4, width),
      all: () => look(0, whole),
    };
    const keys = { "+": "in", "=": "in", "-": "out", ArrowLeft: "left", ArrowRight: "right", Home: "all" };
    const tools = card.querySelector(".zoom");
    tools.addEventListener("click", (event) => {
      if (event.target.dataset.do) moves[event.target.dataset.do]();
    });
    tools.addEventListener("keydown", (event) => {
      if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      moves[keys[event.key]]();
    });
    let held = null;
    svg.addEventListener("pointerdown", (event) => { held = event.clientX; svg.setPointerCapture(event.pointerId); });
    svg.addEventListener("pointermove", (event) => {
      if (held === null) return;
      look(from - (event.clientX - held) / svg.clientWidth * width, width);
      held = event.clientX;
    });
    ["pointerup", "pointercancel"].forEach((name) => svg.addEventListener(name, () => { held = null; }));
    svg.addEventListener("wheel", (event) => {
      if (!event.ctrlKey) return; // a page scrolls; with Ctrl, or a pinch, the drawing zooms
      event.preventDefault();
      const { left } = svg.getBoundingClientRect();
      zoom(event.deltaY > 0 ? 1.25 : 0.8, (event.clientX - left) / svg.clientWidth);
    }, { passive: false });
  });

  // Printed pages show every number; bars only where they were opened.
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = all("details:not([open]):not(.charts)");
    closed.forEach((each) => { each.open = true; });
  });
  addEventListener("afterprint", () => closed.forEach((each) => { each.open = false; }));
})();
