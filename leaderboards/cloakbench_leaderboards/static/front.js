// The front page with a script: sorting, filters, a choice of pictures, an interactive plot on request.
// Without it the page says the same: the script only hides and sorts rows, and replaces pictures and plot.
"use strict";

(() => {
  const island = JSON.parse(document.getElementById("island").textContent);
  const table = document.getElementById("headline");
  const filters = document.getElementById("filters");
  const heads = [...table.tHead.rows[0].cells];
  const bodies = [...table.tBodies].map((body) => ({ body, rows: [...body.rows] }));
  const rows = bodies.flatMap((group) => group.rows);
  let sorting = { key: "", way: "" };

  // ---- rows

  function valueOf(row, column) {
    const value = row.cells[column].dataset.value ?? "";
    const number = Number(value);
    return value === "" ? null : Number.isNaN(number) ? value : number;
  }

  function sort() {
    const column = heads.findIndex((head) => head.dataset.key === sorting.key);
    const sign = sorting.way === "asc" ? 1 : -1;
    heads.forEach((head, place) => {
      if (place === column) head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    });
    // Each group keeps to itself: incomplete entries and controls stay below. Rows without a number stay last.
    for (const { body, rows: own } of bodies) {
      const order = column < 0 ? own : [...own].sort((first, second) => {
        const [a, b] = [valueOf(first, column), valueOf(second, column)];
        if (a === null || b === null) return (a === null) - (b === null);
        return sign * (a < b ? -1 : a > b ? 1 : 0);
      });
      body.append(...order);
    }
  }

  function makeSortable(head) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.append(...head.childNodes);
    head.append(button);
    // The best comes first: names rise, ranks and visibility rise, all other numbers fall.
    const first = ["rank", "protection", "visibility"].includes(head.dataset.key) ? "asc" : "desc";
    button.addEventListener("click", () => {
      const isSame = sorting.key === head.dataset.key;
      if (isSame && sorting.way !== first) sorting = { key: "", way: "" };
      else sorting = { key: head.dataset.key, way: isSame ? (first === "asc" ? "desc" : "asc") : first };
      sort();
      write();
    });
  }

  function filter() {
    const words = filters.find.value.trim().toLowerCase();
    let count = 0;
    for (const row of rows) {
      const isControl = row.classList.contains("control");
      const isIncomplete = row.classList.contains("incomplete");
      row.hidden =
        (isControl && !filters.controls.checked) ||
        (isIncomplete && filters.incomplete && !filters.incomplete.checked) ||
        !row.textContent.toLowerCase().includes(words);
      if (!row.hidden) count += 1;
    }
    for (const { body, rows: own } of bodies) body.hidden = own.every((row) => row.hidden);
    document.getElementById("count").textContent = `${count} of ${rows.length} rows`;
  }

  // ---- the view in the address

  const forms = [filters, document.getElementById("plot-choice"), document.getElementById("strip-choice")].filter(Boolean);
  const fields = () => forms.flatMap((form) => [...form.elements]).filter((field) => field.name && field.type !== "button");
  const defaults = new Map();

  function write() {
    const state = new URLSearchParams();
    for (const field of fields()) {
      const value = field.type === "checkbox" ? (field.checked ? "1" : "0") : field.value;
      if (value !== defaults.get(field.name)) state.set(field.name, value);
    }
    if (sorting.key) state.set("sort", `${sorting.key}.${sorting.way}`);
    const hash = state.toString();
    if (hash === location.hash.slice(1) || (!hash && !location.hash.includes("="))) return;
    history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
  }

  function read() {
    const hash = location.hash.slice(1);
    const state = new URLSearchParams(hash.includes("=") ? hash : "");
    for (const field of fields()) {
      const value = state.get(field.name) ?? defaults.get(field.name);
      if (field.type === "checkbox") field.checked = value === "1";
      else if (field.tagName !== "SELECT" || [...field.options].some((option) => option.value === value)) field.value = value;
    }
    const [key, way] = (state.get("sort") ?? "").split(".");
    sorting = /^(asc|desc)$/.test(way ?? "") ? { key, way } : { key: "", way: "" };
  }

  function fill(select, values, value) {
    select.replaceChildren(...values.map((name) => new Option(name, name)));
    if (values.includes(value)) select.value = value;
  }

  // ---- pictures

  const stripForm = document.getElementById("strip-choice");
  const strips = new Map(island.strips.map(([label, artists]) => [label, new Map(artists)]));

  function showStrip() {
    if (!stripForm) return;
    const artists = strips.get(stripForm.entry.value);
    if (!artists) return;
    fill(stripForm.artist, [...artists.keys()], stripForm.artist.value);
    const pictures = artists.get(stripForm.artist.value);
    document.getElementById("strip-caption").textContent = `${stripForm.entry.value}, artist ${stripForm.artist.value}`;
    document.querySelectorAll("#strip .strip figure").forEach((figure, place) => {
      const image = figure.querySelector("img");
      image.src = pictures[place].source;
      image.alt = pictures[place].words;
    });
  }

  // ---- plot: nothing of it is loaded before a reader asks for it

  const plotForm = document.getElementById("plot-choice");
  const received = new Map();
  const loading = new Map();
  window.cloakbench = { receive: (name, data) => received.set(name, data) };

  // A page that is opened from a folder may load a script, but may not fetch a file.
  function load(source) {
    if (!loading.has(source)) {
      loading.set(source, new Promise((resolve, reject) => {
        const script = document.createElement("script");
        script.src = source;
        script.onload = resolve;
        script.onerror = reject;
        document.head.append(script);
      }));
    }
    return loading.get(source);
  }

  async function draw() {
    if (!plotForm || !island.plot) return;
    const attack = island.attacks.find((each) => each.name === plotForm.attack.value);
    const place = island.metrics.findIndex((metric) => metric.name === plotForm.metric.value);
    const metric = island.metrics[place];
    if (!attack || !metric) return;
    await Promise.all([load(island.library), load(island.plot), load(attack.data)]);
    if (plotForm.attack.value !== attack.name || plotForm.metric.value !== metric.name) return;
    const holder = document.getElementById("plot");
    const title = document.getElementById("plot-title");
    const points = pointsOf(received.get(attack.name), place, metric.isReversed);
    if (!points.length) {
      holder.textContent = `Nothing to draw: no protection has a score against ${attack.name} and a value of ${metric.name}.`;
    } else {
      const fresh = document.createElement("div");
      fresh.className = "vega-embed";
      await window.drawPlot(fresh, specification(points, metric, holder.clientWidth));
      holder.replaceChildren(fresh);
    }
    title.textContent = `Protection against “${attack.name}” over ${metric.name}`;
    holder.setAttribute("aria-label", `Plot of P against ${metric.name}, attack ${attack.name}. The page of the attack holds the values.`);
  }

  function pointsOf(data, place, isReversed) {
    const points = data.points.map(([row, strength, quality, y, low, high]) => ({ row, strength, x: quality[place], y, low, high }));
    const start = points.find((point) => point.row === island.clean && point.x !== null);
    const own = points.filter((point) => point.row !== island.clean && point.x !== null);
    const drawn = [...new Set(own.map((point) => point.row))].flatMap((row) => [
      ...(start ? [{ ...start, row }] : []),
      ...own.filter((point) => point.row === row),
    ]);
    return drawn.map(({ row, ...point }) => {
      const label = island.labels[row];
      const kind = island.isControl[row] ? "control" : island.named.includes(label) ? "named" : "rest";
      return { ...point, label, kind, shown: (isReversed ? -1 : 1) * point.x };
    });
  }

  function specification(points, metric, width) {
    const plot = structuredClone(received.get(island.plot));
    plot.data.find((table) => table.name === "points").values = points;
    const labels = new Set(points.map((point) => point.label));
    for (const scale of plot.scales) {
      if (scale.name === "x") Object.assign(scale, { reverse: metric.isReversed, zero: !metric.isReversed });
      if (["color", "shape", "strokeDash"].includes(scale.name)) style(scale, labels);
    }
    for (const axis of plot.axes) if (axis.orient === "bottom" && axis.title) axis.title = `${metric.title}, more visible →`;
    if (width < 520) for (const legend of plot.legends) legend.columns = 2;
    plot.width = Math.max(width - 4, 300);
    plot.autosize = { type: "fit-x", contains: "padding" };
    return plot;
  }

  // An entry keeps its style in every plot; the legend lists those that are drawn.
  function style(scale, labels) {
    const all = [...island.named, ...island.controls];
    const range = [...scale.range.slice(0, island.named.length), ...scale.range.slice(island.most)];
    const drawn = all.map((label, place) => [label, range[place]]).filter(([label]) => labels.has(label));
    scale.domain = drawn.map(([label]) => label);
    scale.range = drawn.map(([, value]) => value);
  }

  // ---- start

  heads.forEach(makeSortable);
  if (plotForm) {
    fill(plotForm.attack, island.attacks.map((attack) => attack.name), island.attack);
    fill(plotForm.metric, island.metrics.map((metric) => metric.name), island.metrics[0]?.name);
    plotForm.addEventListener("input", () => (draw(), write()));
    plotForm.interactive.addEventListener("click", draw);
    // A reader who points at the controls or reaches them by keyboard is about to use them.
    const prepare = () => [island.library, island.plot].filter(Boolean).forEach(load);
    for (const event of ["pointerenter", "focusin"]) plotForm.addEventListener(event, prepare, { once: true });
  }
  if (stripForm) {
    const entries = [...strips.keys()];
    fill(stripForm.entry, entries, entries[0]);
    fill(stripForm.artist, [...strips.get(entries[0]).keys()], "");
    stripForm.addEventListener("input", () => (showStrip(), write()));
  }
  for (const field of fields()) defaults.set(field.name, field.type === "checkbox" ? (field.checked ? "1" : "0") : field.value);

  function show() {
    read();
    sort();
    filter();
    showStrip();
    const isOwnPlot = plotForm && ["attack", "metric"].every((name) => plotForm[name].value === defaults.get(name));
    if (plotForm && !isOwnPlot) draw();
  }

  show();
  for (const form of forms) {
    form.hidden = false;
    form.addEventListener("submit", (event) => event.preventDefault());
  }
  filters.addEventListener("input", () => (filter(), write()));
  filters.addEventListener("reset", (event) => {
    event.preventDefault();
    history.replaceState(null, "", location.pathname + location.search);
    show();
  });
  window.addEventListener("hashchange", () => location.hash.includes("=") && show());
})();
