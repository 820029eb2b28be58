// Shows the pairs of a survey in an order and on sides drawn for each viewer, and saves the answers as a CSV file.
"use strict";
(() => {
  const island = document.getElementById("pairs");
  const section = document.getElementById("survey");
  if (!island || !section) return;
  const data = JSON.parse(island.textContent);
  const QUESTIONS = [
    ["style", "Which is more like the artist?"],
    ["quality", "Which is the better picture?"],
  ];
  const name = `cloakbench-survey-${data.survey}`;
  const state = load();

  function load() {
    try {
      const stored = JSON.parse(localStorage.getItem(name));
      if (stored) return stored;
    } catch {
      // A browser that keeps nothing for local files: the answers last as long as the page.
    }
    const order = data.pairs.map((pair) => ({ pair: pair.pair, flipped: Math.random() < 0.5 }));
    for (let last = order.length - 1; last > 0; last -= 1) {
      const other = Math.floor(Math.random() * (last + 1));
      [order[last], order[other]] = [order[other], order[last]];
    }
    const viewer = Math.random().toString(16).slice(2, 10);
    return { viewer, order, answers: {} };
  }

  function store() {
    try {
      localStorage.setItem(name, JSON.stringify(state));
    } catch {
      // As above.
    }
  }

  function picture(source, words) {
    const image = document.createElement("img");
    image.src = source;
    image.alt = words;
    image.width = 256;
    return image;
  }

  function next() {
    return state.order.find(({ pair }) => QUESTIONS.some(([key]) => !(state.answers[pair] || {})[key]));
  }

  function answer(pair, question, side) {
    state.answers[pair] = { ...state.answers[pair], [question]: side };
    store();
    show();
  }

  function show() {
    const current = next();
    const done = Object.values(state.answers).filter((given) => QUESTIONS.every(([key]) => given[key])).length;
    section.querySelector(".progress").textContent = `${done} of ${data.pairs.length} answered`;
    for (const part of ["artist", "pair", "questions"]) section.querySelector(`.${part}`).replaceChildren();
    if (!current) return;
    const pair = data.pairs.find(({ pair: key }) => key === current.pair);
    const sides = current.flipped ? ["b", "a"] : ["a", "b"];
    section.querySelector(".artist").append(...pair.artist.map((source) => picture(source, "a picture of the artist")));
    section.querySelector(".pair").append(...sides.map((side, n) => picture(pair[side], `imitation ${n + 1}`)));
    for (const [key, words] of QUESTIONS) {
      const line = document.createElement("p");
      line.append(words);
      sides.forEach((side, n) => {
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = n === 0 ? "Left" : "Right";
        button.setAttribute("aria-pressed", String((state.answers[pair.pair] || {})[key] === side));
        button.addEventListener("click", () => answer(pair.pair, key, side));
        line.append(" ", button);
      });
      section.querySelector(".questions").append(line);
    }
  }

  function save() {
    const lines = ["survey,viewer,pair,style,quality"];
    for (const [pair, given] of Object.entries(state.answers)) {
      lines.push([data.survey, state.viewer, pair, given.style || "", given.quality || ""].join(","));
    }
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([`${lines.join("\n")}\n`], { type: "text/csv" }));
    link.download = `answers-${state.viewer}.csv`;
    link.click();
    URL.revokeObjectURL(link.href);
  }

  section.querySelector(".save").addEventListener("click", save);
  show();
})();
