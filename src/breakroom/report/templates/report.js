"use strict";
// Draws the report's charts in the language and colours that are shown. Talks to nobody; holds no state but the page's.
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const config = { displayModeBar: false, doubleClick: "reset", responsive: true, showTips: false };
  const coarse = matchMedia("(pointer: coarse)").matches;
  const printWidth = 690;
  let printing = false;

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

  function keyOf(plot) {
    const name = plot.dataset.figure;
    if (name === "recovery") return name;
    const choice = plot.closest(".charts").querySelector("[data-choice]");
    return `${name}:${choice ? choice.value : 0}`;
  }

  function draw(plot) {
    const drill = plot.closest(".charts").dataset.drill;
    const figure = (figures[drill] || {})[keyOf(plot)];
    const optional = plot.closest("[data-optional]");
    if (optional) optional.hidden = !figure;
    if (!figure) return;
    const styles = getComputedStyle(document.body);
    const { data, layout } = resolve(figure, page().lang, styles);
    if (coarse) layout.dragmode = false;
    if (printing) layout.width = printWidth;
    else layout.width = undefined;
    layout.autosize = !printing;
    const range = plot.dataset.range && plot.dataset.figure !== "recovery" ? JSON.parse(plot.dataset.range) : null;
    if (range) eachTimeAxis(layout, (axis) => (axis.range = range));
    Plotly.react(plot, data, layout, config);
    if (!plot.dataset.wired) {
      plot.dataset.wired = "yes";
      if (plot.dataset.figure !== "recovery") plot.on("plotly_relayout", (change) => follow(plot, change));
    }
  }

  function drawAll() {
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
    const done = [...charts.querySelectorAll(".plot")]
      .filter((plot) => plot.layout)
      .map((plot) => {
        if (range) plot.dataset.range = JSON.stringify(range);
        else delete plot.dataset.range;
        const wanted = range || wholeRange(plot);
        const changes = {};
        eachTimeAxis(plot.layout, (_axis, key) => (changes[key + ".range"] = wanted));
        return Plotly.relayout(plot, changes);
      });
    Promise.all(done).then(() => (following = false));
    charts.querySelectorAll("[data-zoom]").forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.zoom === pressed)));
  }

  function wholeRange(plot) {
    return figures[plot.closest(".charts").dataset.drill][keyOf(plot)].layout.xaxis.range;
  }

  function nearRange(charts) {
    const [low, high] = wholeRange(charts.querySelector(".plot"));
    return [Math.max(low, -1), Math.min(high, 4)];
  }

  function setLanguage(lang) {
    document.querySelectorAll("main.page").forEach((main) => (main.hidden = main.lang !== lang));
    document.querySelectorAll("[data-set-lang]").forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.setLang === lang)));
    document.documentElement.lang = lang;
    document.title = page().dataset.title;
    drawAll();
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.setLang) setLanguage(button.dataset.setLang);
    if (button.dataset.zoom) {
      const charts = button.closest(".charts");
      zoom(charts, button.dataset.zoom === "near" ? nearRange(charts) : null, button.dataset.zoom);
    }
  });
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-choice]")) event.target.closest(".charts").querySelectorAll(".plot").forEach(draw);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => printing || drawAll());

  // Paper is light and narrow, whatever the screen is.
  addEventListener("beforeprint", () => {
    printing = true;
    document.documentElement.dataset.theme = "light";
    drawAll();
  });
  addEventListener("afterprint", () => {
    printing = false;
    delete document.documentElement.dataset.theme;
    drawAll();
  });

  drawAll();
})();
