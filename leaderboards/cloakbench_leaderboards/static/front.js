// The front page with a script: sorting, filters, a view in the address, exports, a plot to point at.
// Without it the page says the same: this only hides, sorts and replaces what stands there.
"use strict";

(() => {
  const island = JSON.parse(document.getElementById("island").textContent);
  const form = document.getElementById("filters");
  const table = document.getElementById("headline");
  const caption = document.getElementById("headline-caption");
  const rows = [...table.tBodies[0].rows].map(describe);
  const heads = [...table.tHead.rows[0].cells].map((head) => ({
    key: head.dataset.key,
    label: head.firstChild.textContent.trim(),
    second: head.querySelector("small")?.textContent ?? "",
  }));
  const FIRST_STOP = 2;
  const received = new Map();
  const waiting = new Map();
  let grid = null;
  let sorting = "";
  let isReading = false;

  function describe(row) {
    const stops = [...row.cells].slice(2, 2 + island.stops);
    const label = row.querySelector("th").firstChild.textContent.trim();
    return {
      row,
      stops,
      own: stops.map((cell) => [...cell.childNodes]),
      ownKinds: stops.map((cell) => cell.className),
      label,
      family: label.split("[")[0],
      isControl: row.classList.contains("control"),
      isSuperseded: row.classList.contains("superseded"),
      words: row.textContent.toLowerCase(),
      isShown: true,
    };
  }

  // Numbers of one attack: a page that is opened from a folder may load a script, but may not fetch a file.
  window.cloakbench = {
    receive(name, data) {
      received.set(name, data);
      (waiting.get(name) ?? []).forEach((then) => then(data));
      waiting.delete(name);
    },
  };

  function load(name) {
    if (received.has(name)) return Promise.resolve(received.get(name));
    return new Promise((resolve) => {
      const isAsked = waiting.has(name);
      waiting.set(name, [...(waiting.get(name) ?? []), resolve]);
      if (isAsked) return;
      const script = document.createElement("script");
      script.src = island.attacks.find((attack) => attack.name === name).data;
      document.head.append(script);
    });
  }

  // ---- state and address

  function read() {
    const hash = location.hash.slice(1);
    const asked = new URLSearchParams(hash.includes("=") ? hash : "");
    isReading = true;
    choices();
    for (const field of form.elements) {
      if (field.type === "checkbox") field.checked = field.defaultChecked;
      if (field.type === "search") field.value = "";
      if (!field.name || !asked.has(field.name)) continue;
      if (field.type === "checkbox") field.checked = asked.get(field.name) === "1";
      else if (field.type === "search" || [...field.options].some((option) => option.value === asked.get(field.name)))
        field.value = asked.get(field.name);
    }
    sorting = asked.get("sort") ?? "";
    isReading = false;
  }

  function write() {
    const state = new URLSearchParams();
    for (const field of form.elements) {
      if (!field.name) continue;
      if (field.type === "checkbox") {
        if (field.checked !== field.defaultChecked) state.set(field.name, field.checked ? "1" : "0");
      } else if (field.value !== standard(field)) state.set(field.name, field.value);
    }
    if (sorting) state.set("sort", sorting);
    const hash = state.toString();
    if (hash === location.hash.slice(1) || (!hash && !location.hash.includes("="))) return;
    history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
  }

  function standard(field) {
    return { attack: island.attack, metric: island.metrics[0]?.name ?? "" }[field.name] ?? "";
  }

  function choices() {
    fill(form.attack, island.attacks.map((attack) => attack.name), island.attack);
    fill(form.metric, island.metrics.map((metric) => metric.name), standard(form.metric));
    for (const part of ["mimicry", "countermeasure"]) fill(form[part], unique(island.attacks.map((a) => a[part])), "", "all");
    fill(form.family, unique(rows.map((row) => row.family)).sort(), "", "all");
  }

  function unique(values) {
    return [...new Set(values)];
  }

  function fill(select, values, value, all) {
    const options = values.map((each) => new Option(each, each));
    select.replaceChildren(...(all ? [new Option(all, "")] : []), ...options);
    select.value = value;
  }

  // Mimicry and countermeasure narrow the choice of attacks; an attack that they exclude gives way to the first left.
  function narrow() {
    const left = island.attacks.filter(
      (attack) =>
        (!form.mimicry.value || attack.mimicry === form.mimicry.value) &&
        (!form.countermeasure.value || attack.countermeasure === form.countermeasure.value),
    );
    for (const option of form.attack.options) option.hidden = option.disabled = !left.some((a) => a.name === option.value);
    if (left.length && !left.some((attack) => attack.name === form.attack.value)) form.attack.value = left[0].name;
    return left.length > 0;
  }

  // ---- table

  function show() {
    const isPossible = narrow();
    const find = form.find.value.trim().toLowerCase();
    for (const each of rows) {
      each.isShown =
        isPossible &&
        (form.controls.checked || !each.isControl) &&
        !(form.superseded.checked && each.isSuperseded) &&
        (!form.family.value || each.family === form.family.value) &&
        each.words.includes(find);
    }
    const name = form.attack.value;
    load(name).then((data) => {
      if (form.attack.value !== name) return;
      replace(name, data);
      draw(name, data);
    });
    filter();
    write();
  }

  function replace(name, data) {
    rows.forEach((each, place) => {
      each.stops.forEach((cell, stop) => {
        const isOwn = name === island.attack;
        cell.replaceChildren(...(isOwn ? each.own[stop] : contents(data.cells[place][stop])));
        cell.className = isOwn ? each.ownKinds[stop] : data.cells[place][stop][3];
      });
    });
    caption.textContent = caption.textContent.replace(/“.*”/, `“${name}”`);
    grid?.rows().invalidate("dom").draw();
  }

  function contents([words, detail, flag, , value, low, width]) {
    const made = [document.createTextNode(words)];
    for (const [text, kind] of [[detail, ""], [flag, "flag"]]) {
      if (!text) continue;
      const line = document.createElement("small");
      line.textContent = text;
      line.className = kind;
      made.push(line);
    }
    if (value !== undefined) {
      const bar = document.createElement("i");
      for (const [part, number] of [["--v", value], ["--l", low], ["--w", width]]) bar.style.setProperty(part, number);
      made.push(bar);
    }
    return made;
  }

  function filter() {
    if (grid) grid.draw();
    else for (const each of rows) each.row.hidden = !each.isShown;
    const shown = rows.filter((each) => each.isShown).length;
    document.getElementById("count").textContent =
      shown === rows.length ? `${shown} entries.` : `${shown} of ${rows.length} entries.`;
  }

  function sortable() {
    const DataTable = window.cloakbenchTables;
    if (!DataTable) return;
    const number = (cell) => {
      const found = parseFloat(String(cell).split("<")[0].replace("\u2212", "-"));
      return Number.isNaN(found) ? null : found;
    };
    // Entries without a number stand last, whichever way.
    const order = (sign) => (a, b) => (a === null || b === null ? (a === null) - (b === null) : sign * (a - b));
    DataTable.type("shown-number", { order: { pre: number, asc: order(1), desc: order(-1) } });
    const spelled = (cell) => cell.replaceAll(/<[^>]*>/g, " ").trim().toLowerCase();
    DataTable.type("shown-words", { order: { pre: spelled } });
    const words = heads.map((head, place) => (/^(protection|flags|trust)$/.test(head.key) ? place : -1));
    DataTable.ext.search.push((_, __, place) => rows[place].isShown);
    grid = new DataTable(table, {
      paging: false,
      info: false,
      autoWidth: false,
      order: [],
      layout: { topStart: null, topEnd: null, bottomStart: null, bottomEnd: null },
      columnDefs: [
        { targets: words.filter((place) => place >= 0), type: "shown-words", orderSequence: ["asc", "desc", ""] },
        { targets: "_all", type: "shown-number", orderSequence: ["desc", "asc", ""] },
      ],
      language: { emptyTable: "No entry", zeroRecords: "No entry matches these filters." },
    });
    grid.on("order", () => {
      if (isReading) return;
      const [first] = grid.order();
      sorting = first && first[1] ? `${heads[first[0]].key}.${first[1]}` : "";
      write();
    });
  }

  function sort() {
    const [key, way] = sorting.split(".");
    const place = heads.findIndex((head) => head.key === key);
    isReading = true;
    grid?.order(place >= 0 && /^(asc|desc)$/.test(way) ? [[place, way]] : []).draw();
    isReading = false;
  }

  // ---- plot

  function draw(name, data) {
    const place = island.metrics.findIndex((metric) => metric.name === form.metric.value);
    const metric = island.metrics[place];
    if (!island.plot || !metric || !window.vegaEmbed) return;
    const spec = structuredClone(island.plot);
    const names = named();
    spec.datasets = { ...spec.datasets, points: points(data, place, metric.isReversed, names) };
    const across = { title: `${metric.title}, more visible →`, scale: { reverse: metric.isReversed, zero: !metric.isReversed, nice: true } };
    for (const layer of spec.layer) {
      if (layer.encoding.x?.field === "x") Object.assign(layer.encoding.x, across);
      for (const channel of ["color", "shape", "strokeDash"]) paint(layer.encoding[channel], names);
    }
    const holder = document.getElementById("plot");
    const fresh = document.createElement("div");
    spec.width = Math.max(holder.clientWidth - 4, 300);
    spec.autosize = { type: "fit-x", contains: "padding" };
    const options = { ast: true, actions: false, renderer: "svg", tooltip: { theme: "custom" }, logLevel: 1 };
    window.vegaEmbed(fresh, spec, options).then(() => holder.replaceChildren(fresh));
    document.getElementById("plot-title").textContent = `Protection against “${name}” over ${metric.name}`;
    const known = rows.filter((each) => each.isShown).length;
    holder.setAttribute("aria-label", `Plot of P against ${metric.name}, attack ${name}, ${known} entries. The table above holds the values.`);
  }

  // A protection keeps its colour; colours of those that are not shown go to the next ones that are.
  function named() {
    const shown = rows.filter((each) => each.isShown);
    const own = shown.filter((each) => !each.isControl).map((each) => each.label);
    const kept = island.named.map((label) => (own.includes(label) ? label : null));
    const next = own.filter((label) => !kept.includes(label)).slice(0, island.most - kept.filter(Boolean).length);
    const slots = [...kept, ...Array(island.most - kept.length).fill(null)].map((label) => label ?? next.shift() ?? null);
    return { slots, controls: island.controls.map((label) => (shown.some((each) => each.label === label) ? label : null)) };
  }

  function paint(channel, { slots, controls }) {
    if (channel?.field !== "label") return;
    const range = channel.scale.range;
    const all = [...slots, ...controls].map((label, place) => [label, range[place]]).filter(([label]) => label !== null);
    channel.sort = channel.scale.domain = all.map(([label]) => label);
    channel.scale.range = all.map(([, look]) => look);
    if (document.getElementById("plot").clientWidth < 520) channel.legend.columns = 2;
  }

  function points(data, place, isReversed, { slots }) {
    const sign = isReversed ? -1 : 1;
    const made = data.points.map(([row, strength, quality, y, low, high]) => ({ row, strength, x: quality[place], y, low, high }));
    const start = made.find((point) => point.row === island.clean);
    const known = made.filter((point) => point.row !== island.clean && point.x !== null && rows[point.row].isShown);
    const drawn = unique(known.map((point) => point.row)).flatMap((row) => [
      ...(start && start.x !== null ? [{ ...start, row }] : []),
      ...known.filter((point) => point.row === row),
    ]);
    return drawn.map(({ row, ...point }) => {
      const label = rows[row].label;
      const kind = rows[row].isControl ? "control" : slots.includes(label) ? "named" : "rest";
      return { ...point, label, kind, shown: sign * point.x };
    });
  }

  // ---- exports of exactly what is shown

  function visible() {
    const order = grid ? grid.rows({ search: "applied", order: "applied" }).nodes().toArray() : rows.filter((each) => each.isShown).map((each) => each.row);
    return order.map((row) => {
      const known = rows.find((each) => each.row === row);
      const cells = [...row.cells].map((cell) => ({
        text: heads[cell.cellIndex].key === "flags" ? [...cell.children].map((tag) => tag.textContent).join("; ") : cell.firstChild?.textContent.trim() ?? "",
        second: cell.querySelector("small:not(.flag)")?.textContent ?? "",
        flag: cell.querySelector("small.flag")?.textContent ?? "",
      }));
      const paper = row.querySelector("th small a")?.href ?? "";
      return { label: known.label, title: island.titles[rows.indexOf(known)], isControl: known.isControl, paper, cells };
    });
  }

  function columns(shown) {
    return heads.flatMap((head, place) => {
      const name = place >= FIRST_STOP && place < FIRST_STOP + island.stops ? `${head.label} ${head.second}` : head.label;
      const second = { rank: "interval and tie group", protection: "version" }[head.key] ?? "95 % interval";
      return [
        { name, get: (row) => row.cells[place].text },
        { name: `${head.label}, ${second}`, get: (row) => row.cells[place].second.replace(/ · paper$/, "") },
        { name: `${head.label}, note`, get: (row) => row.cells[place].flag },
      ].filter((column, part) => part === 0 || shown.some((row) => column.get(row)));
    });
  }

  const exporters = {
    csv(shown) {
      const chosen = columns(shown);
      // A spreadsheet takes a cell that begins like this for a formula.
      const cell = (text) => `"${(/^[=+@\t\r]/.test(text) ? "'" : "") + text.replaceAll('"', '""')}"`;
      const lines = [chosen.map((column) => column.name), ...shown.map((row) => chosen.map((column) => column.get(row)))];
      return lines.map((line) => line.map(cell).join(",")).join("\r\n") + "\r\n";
    },
    json(shown) {
      const chosen = columns(shown);
      const entries = shown.map((row) => Object.fromEntries(chosen.map((column) => [column.name, column.get(row)])));
      const view = { suite: island.suite.name, version: island.suite.version, updated: island.suite.updated, attack: form.attack.value };
      return JSON.stringify({ ...view, view: location.href, caption: caption.textContent, entries }, null, 1) + "\n";
    },
    tex(shown) {
      const used = heads.map((_, place) => place).filter((place) => shown.some((row) => row.cells[place].text));
      const cell = ({ text, second, flag }, place) => {
        const small = [place === 1 ? second.replace(/ · paper$/, "") : second, flag].filter(Boolean).map(escaped).join("; ");
        return escaped(text) + (small ? ` {\\scriptsize (${small})}` : "");
      };
      const lines = shown.map((row) => used.map((place) => cell(row.cells[place], place)).join(" & ") + " \\\\");
      const head = used.map((place) => escaped(`${heads[place].label}`)).join(" & ");
      return [
        `% ${caption.textContent}; ${island.suite.title}, version ${island.suite.version}`.replaceAll(/[\r\n]/g, " "),
        `\\begin{tabular}{${used.map((place) => (place === 1 ? "l" : "r")).join("")}}`,
        "\\toprule", `${head} \\\\`, "\\midrule", ...lines, "\\bottomrule", "\\end{tabular}", "",
      ].join("\n");
    },
    bib(shown) {
      const { name, version, title, updated } = island.suite;
      const board = entry(`cloakbench-${name}-${version}`, {
        title: `{${escaped(title)}, suite ${escaped(name)} version ${version}}`,
        year: updated.slice(0, 4),
        note: `${escaped(caption.textContent)}; newest record ${updated}`,
        howpublished: `\\url{${encodeURI(decodeURI(location.href))}}`,
      });
      const papers = shown
        .filter((row) => row.paper)
        .map((row, place) => entry(`${row.label.replaceAll(/[^A-Za-z0-9]+/g, "-")}-${place + 1}`, { title: `{${escaped(row.title)}}`, howpublished: `\\url{${row.paper}}` }));
      return [board, ...papers].join("\n");
    },
  };

  function entry(key, fields) {
    const lines = Object.entries(fields).map(([name, value]) => `  ${name} = {${value}}`);
    return `@misc{${key},\n${lines.join(",\n")}\n}\n`;
  }

  function escaped(text) {
    const signs = { "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "\u2212": "$-$", "\u2013": "--", "…": "\\dots{}", "∞": "$\\infty$", "“": "``", "”": "''", "·": "$\\cdot$", "↑": "$\\uparrow$", "↓": "$\\downarrow$" };
    return text.replaceAll(/[\\~^\u2212\u2013…∞“”·↑↓]|[&%$#_{}]/g, (sign) => signs[sign] ?? `\\${sign}`);
  }

  function save(kind) {
    const text = exporters[kind](visible());
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/plain;charset=utf-8" }));
    link.download = `cloakbench-${island.suite.name}-${island.suite.version}.${kind}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  read();
  sortable();
  sort();
  show();
  form.hidden = document.getElementById("exports").hidden = false;
  form.addEventListener("input", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", (event) => {
    event.preventDefault();
    history.replaceState(null, "", location.pathname + location.search);
    read(), sort(), show();
  });
  window.addEventListener("hashchange", () => {
    if (location.hash.includes("=")) read(), sort(), show();
  });
  document.getElementById("exports").addEventListener("click", (event) => {
    if (event.target.dataset.export) save(event.target.dataset.export);
  });
})();
