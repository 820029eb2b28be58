// Compares any protections of the board. What is chosen stands in the address, so that a view can be cited.
"use strict";
(() => {
  const island = document.getElementById("comparison");
  const section = document.getElementById("chooser");
  if (!island || !section) return;
  const data = JSON.parse(island.textContent);
  const strips = JSON.parse(document.getElementById("strips").textContent);
  const byKey = new Map(data.entries.map((entry) => [entry.key, entry]));
  const chooser = section.querySelector(".chooser");
  const result = section.querySelector(".result");

  function element(name, words = "", attributes = {}) {
    const node = document.createElement(name);
    node.textContent = words;
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    return node;
  }

  // As statistics.difference_estimates: Student's t over artists.
  function estimate(values) {
    const measured = values.filter((value) => value !== null);
    const n = measured.length;
    if (n === 0) return null;
    const mean = measured.reduce((sum, value) => sum + value, 0) / n;
    const second = measured.reduce((sum, value) => sum + (value - mean) ** 2, 0);
    const quantile = data.quantiles[n];
    if (quantile === undefined) return { mean, n };
    const reach = (quantile * Math.sqrt(second / (n - 1))) / Math.sqrt(n);
    return { mean, n, low: mean - reach, high: mean + reach };
  }

  function number(value, halfWidth) {
    const scale = halfWidth > 0 ? halfWidth : Math.abs(value);
    const digits = halfWidth > 0 ? 2 : 3;
    const decimals = scale === 0 ? 0 : Math.min(Math.max(digits - 1 - Math.floor(Math.log10(scale)), 0), 8);
    const words = value.toFixed(decimals);
    return (Number(words) === 0 ? words.replace("-", "") : words).replace("-", "\u2212");
  }

  function words(difference) {
    if (!difference) return "not both measured";
    const artists = difference.n === 1 ? "1 artist" : `${difference.n} artists`;
    if (difference.low === undefined) return `${number(difference.mean, 0)}, ${artists}`;
    const half = (difference.high - difference.low) / 2;
    return `${number(difference.mean, half)} (${number(difference.low, half)} to ${number(difference.high, half)}), ${artists}`;
  }

  // The ranked entries stand first; only for them does the board say which pairs of the rank's number are told apart.
  function verdict(difference, carries, first, other) {
    if (!difference || difference.low === undefined) return "\u2013";
    const row = data.apart[data.entries.indexOf(first)];
    const flag = carries && row ? row[data.entries.indexOf(other)] : undefined;
    const apart = flag === undefined ? difference.low > 0 || difference.high < 0 : flag === "1";
    if (!apart) return "not told apart";
    const words = difference.mean > 0 ? "ahead" : "behind";
    return flag === undefined ? `${words}, uncorrected` : words;
  }

  function table(chosen) {
    const [first, ...others] = chosen;
    const node = element("table");
    node.append(element("caption", `${first.label} beside ${others.map((entry) => entry.label).join(", ")}`));
    const head = element("tr");
    head.append(element("th", "Number", { scope: "col" }), element("th", first.label, { scope: "col" }));
    for (const other of others) {
      head.append(
        element("th", other.label, { scope: "col" }),
        element("th", `${first.label} \u2212 ${other.label}`, { scope: "col" }),
        element("th", `${first.label} is`, { scope: "col", class: "words" }),
      );
    }
    const top = element("thead");
    top.append(head);
    const body = element("tbody");
    data.columns.forEach((column, place) => {
      const row = element("tr");
      row.append(element("th", column.title + (column.carries ? " (carries the rank)" : ""), { scope: "row" }));
      if (chosen.filter((entry) => entry.values[place].some((one) => one !== null)).length < 2) return;
      row.append(value(first.texts[place]));
      for (const other of others) {
        const difference = estimate(
          first.values[place].map((one, n) =>
            one === null || other.values[place][n] === null ? null : one - other.values[place][n],
          ),
        );
        row.append(value(other.texts[place]), element("td", words(difference)));
        row.append(element("td", verdict(difference, column.carries, first, other), { class: "words" }));
      }
      body.append(row);
    });
    node.append(top, body);
    const frame = element("div", "", { class: "scroll", role: "region", tabindex: "0", "aria-label": "Comparison" });
    frame.append(node);
    return frame;
  }

  // The same artist for all: original, imitation of clean images, then both pictures of each protection.
  function pictures(chosen) {
    const own = chosen.map((entry) => strips[entry.key] ?? {});
    const artist = Object.keys(own[0]).find((name) => own.every((artists) => name in artists));
    if (artist === undefined) return [];
    const [original, , clean] = own[0][artist];
    const list = element("ul", "", { class: "strip" });
    const add = (picture, label) => {
      const figure = element("figure");
      figure.append(
        element("img", "", { src: picture.source, alt: picture.words, width: "160", height: "160" }),
        element("figcaption", label),
      );
      const item = element("li");
      item.append(figure);
      list.append(item);
    };
    add(original, original.label);
    add(clean, clean.label);
    chosen.forEach((entry, place) => {
      const [, shown, , imitation] = own[place][artist];
      add(shown, `${entry.label}: ${shown.label}`);
      add(imitation, `${entry.label}: ${imitation.label}`);
    });
    return [element("p", `Pictures of one artist, ${artist}, without cleaning`, { class: "soft" }), list];
  }

  function value([text, detail]) {
    const cell = element("td", text);
    if (detail) cell.append(element("small", detail));
    return cell;
  }

  function keys() {
    const asked = decodeURIComponent(location.hash.slice(1)).split("&").filter((key) => byKey.has(key));
    const unique = [...new Set(asked)];
    for (const entry of data.entries) {
      if (unique.length >= Math.min(2, data.entries.length)) break;
      if (!unique.includes(entry.key)) unique.push(entry.key);
    }
    return unique;
  }

  function choose(chosen) {
    history.replaceState(null, "", `#${chosen.join("&")}`);
    show();
  }

  function show() {
    const chosen = keys();
    chooser.replaceChildren();
    chosen.forEach((key, place) => {
      const label = element("label", place ? "with " : "Compare ");
      const select = element("select");
      for (const entry of data.entries) select.append(element("option", entry.label, { value: entry.key }));
      select.value = key;
      select.addEventListener("change", () => choose(chosen.map((old, n) => (n === place ? select.value : old))));
      label.append(select);
      chooser.append(label);
      if (place > 1) {
        const remove = element("button", "remove", { type: "button", "aria-label": `remove ${byKey.get(key).label}` });
        remove.addEventListener("click", () => choose(chosen.filter((old) => old !== key)));
        chooser.append(remove);
      }
    });
    const left = data.entries.filter((entry) => !chosen.includes(entry.key));
    if (left.length) {
      const add = element("button", "add another", { type: "button" });
      add.addEventListener("click", () => choose([...chosen, left[0].key]));
      chooser.append(add);
    }
    const entries = chosen.map((key) => byKey.get(key));
    result.replaceChildren(...(entries.length > 1 ? [...pictures(entries), table(entries)] : []));
  }

  section.hidden = false;
  window.addEventListener("hashchange", show);
  show();
})();
