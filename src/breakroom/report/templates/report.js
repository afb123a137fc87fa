"use strict";
// Draws the report's charts in the language and colours that are shown. Talks to nobody; holds no state but the page's.
(() => {
  const sources = new Map([...document.querySelectorAll("[data-figures]")].map((one) => [one.dataset.figures, one]));
  const parsed = new Map();
  const config = { displayModeBar: false, doubleClick: "reset", responsive: true, showTips: false };
  const coarse = matchMedia("(pointer: coarse)").matches;
  const printWidth = 690;
  let printing = false;
  let folded = [];

  const page = () => document.querySelector("main.page:not([hidden])");

  // A figure is shared by all languages and colour schemes: pairs of texts and names of colours are resolved here.
  function resolve(node, lang, styles) {
    if (typeof node === "string") {
      if (node.startsWith("var(--")) return styles.getPropertyValue(node.slice(4, -1)).trim();
      return node === "inherit" ? styles.fontFamily : node;
    }
    if (Array.isArray(node)) {
      return node.length && typeof node[0] === "number" ? node : node.map((item) => resolve(item, lang, styles));
    }
    if (node && typeof node === "object") {
      if ("$" + lang in node) return resolve(node["$" + lang], lang, styles);
      return Object.fromEntries(Object.entries(node).map(([key, value]) => [key, resolve(value, lang, styles)]));
    }
    return node;
  }

  // A drill's figures are parsed when its first chart comes into sight.
  function figuresOf(drill) {
    if (!parsed.has(drill)) parsed.set(drill, JSON.parse(sources.get(drill)?.textContent || "{}"));
    return parsed.get(drill);
  }

  function keyOf(plot) {
    const name = plot.dataset.figure;
    if (name === "recovery") return name;
    const choice = plot.closest(".charts").querySelector("[data-choice]");
    return `${name}:${choice ? choice.value : 0}`;
  }

  function draw(plot) {
    const drill = plot.closest(".charts").dataset.drill;
    const figure = figuresOf(drill)[keyOf(plot)];
    const optional = plot.closest("[data-optional]");
    if (optional) optional.hidden = !figure;
    if (!figure) {
      if (plot.layout) Plotly.purge(plot);
      return;
    }
    const styles = getComputedStyle(document.body);
    const { data, layout } = resolve(figure, page().lang, styles);
    if (coarse) layout.dragmode = false;
    if (printing) layout.width = printWidth;
    else layout.width = undefined;
    layout.autosize = !printing;
    const range = plot.dataset.range && overTime(plot) ? JSON.parse(plot.dataset.range) : null;
    if (range) eachTimeAxis(layout, (axis) => (axis.range = range));
    Plotly.react(plot, data, layout, config);
    if (!plot.dataset.wired) {
      plot.dataset.wired = "yes";
      if (overTime(plot)) plot.on("plotly_relayout", (change) => follow(plot, change));
    }
  }

  const overTime = (plot) => !["recovery", "impairment"].includes(plot.dataset.figure);

  // Charts are drawn when they come near the window: a page of many drills opens at once.
  const sight = new IntersectionObserver(
    (entries) =>
      entries
        .filter((entry) => entry.isIntersecting)
        .forEach((entry) => {
          sight.unobserve(entry.target);
          draw(entry.target);
        }),
    { rootMargin: "700px 0px" },
  );

  function drawInSight() {
    sight.disconnect();
    page().querySelectorAll(".plot").forEach((plot) => sight.observe(plot));
  }

  function drawAll() {
    sight.disconnect();
    page().querySelectorAll(".plot").forEach(draw);
  }

  function eachTimeAxis(layout, visit) {
    Object.keys(layout).filter((key) => key.startsWith("xaxis")).forEach((key) => visit(layout[key], key));
  }

  // Zooming one chart of a drill zooms the others: their time axes are the same.
  let following = false;
  function follow(plot, change) {
    const key = Object.keys(change).find((name) => /^xaxis\d*\.range/.test(name));
    if (following || !key) return;
    zoom(plot.closest(".charts"), plot.layout.xaxis.range.slice(), null);
  }

  function zoom(charts, range, pressed) {
    following = true;
    const plots = [...charts.querySelectorAll(".plot")].filter(overTime);
    plots.forEach((plot) => {
      if (range) plot.dataset.range = JSON.stringify(range);
      else delete plot.dataset.range;
    });
    const done = plots
      .filter((plot) => plot.layout)
      .map((plot) => {
        const wanted = range || wholeRange(plot);
        const changes = {};
        eachTimeAxis(plot.layout, (_axis, key) => (changes[key + ".range"] = wanted));
        return Plotly.relayout(plot, changes);
      });
    Promise.all(done).then(() => (following = false));
    charts.querySelectorAll("[data-zoom]").forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.zoom === pressed)));
  }

  function wholeRange(plot) {
    return figuresOf(plot.closest(".charts").dataset.drill)[keyOf(plot)].layout.xaxis.range;
  }

  function nearRange(charts) {
    const [low, high] = wholeRange(charts.querySelector(".plot"));
    return [Math.max(low, -1), Math.min(high, 4)];
  }

  function setLanguage(lang) {
    const place = placeOf();
    const folds = new Map([...page().querySelectorAll(".drill")].map((part) => [part.id.slice(3), part.open]));
    document.querySelectorAll("main.page, .contents").forEach((part) => (part.hidden = part.lang !== lang));
    document.querySelectorAll("[data-set-lang]").forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.setLang === lang)));
    document.documentElement.lang = lang;
    document.title = page().dataset.title;
    document.querySelectorAll(".drill").forEach((part) => (part.open = folds.get(part.id.slice(3)) ?? part.open));
    if (place) document.getElementById(place.replace(/^../, lang))?.scrollIntoView();
    drawInSight();
  }

  // A drill's part is folded while there are many; whoever is sent there wants to read it.
  function unfold(id) {
    const part = document.getElementById(id);
    if (part && part.tagName === "DETAILS") part.open = true;
  }

  // The part that is being read, so that the other language opens at the same one.
  function placeOf() {
    const above = [...page().querySelectorAll(".anchor")].filter((one) => one.getBoundingClientRect().top < 120);
    return scrollY > 200 && above.length ? above[above.length - 1].id : "";
  }

  document.addEventListener("click", (event) => {
    const contents = document.querySelector(".contents[open]");
    const link = event.target.closest("a[href^='#']");
    if (link) unfold(link.hash.slice(1));
    if (contents && (event.target.closest(".contents a") || !contents.contains(event.target))) contents.open = false;
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.setLang) setLanguage(button.dataset.setLang);
    if (button.dataset.zoom) {
      const charts = button.closest(".charts");
      zoom(charts, button.dataset.zoom === "near" ? nearRange(charts) : null, button.dataset.zoom);
    }
  });
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-choice]")) event.target.closest(".charts").querySelectorAll(".plot").forEach((plot) => {
      plot.closest("[data-optional]")?.removeAttribute("hidden");
      sight.observe(plot);
    });
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => printing || drawInSight());

  // Paper is light and narrow, whatever the screen is.
  addEventListener("beforeprint", () => {
    printing = true;
    folded = [...page().querySelectorAll(".drill:not([open])")];
    folded.forEach((part) => (part.open = true));
    document.documentElement.dataset.theme = "light";
    drawAll();
  });
  addEventListener("afterprint", () => {
    printing = false;
    folded.forEach((part) => (part.open = false));
    delete document.documentElement.dataset.theme;
    drawInSight();
  });

  if (location.hash) unfold(decodeURIComponent(location.hash.slice(1)));
  drawInSight();
})();
