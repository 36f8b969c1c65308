"use strict";
// The table: everything is text set by textContent, never markup. The rows come from the JSON block above.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const at = Object.fromEntries(data.columns.map((column, i) => [column.key, i]));
  const PAGE = 25;
  const state = { sort: at[data.sort], down: true, page: 0, words: [], only: {}, open: new Set() };
  const head = document.querySelector("#table thead"), body = document.querySelector("#table tbody");
  const count = document.getElementById("count"), pager = document.getElementById("pager"), filter = document.getElementById("filter");
  const shown = data.columns.map((column, i) => ({ ...column, i })).filter((column) => column.title);
  const hay = data.rows.map((row) => shown.map(({ i, kind }) => (kind === "text" ? row[i] ?? "" : "")).join(" ").toLowerCase());
  const scale = scaleOf(data.rows.map((row) => row[at.accuracy]));

  function element(tag, options = {}, ...children) {
    const made = document.createElement(tag);
    for (const [key, value] of Object.entries(options)) {
      if (key === "text") made.textContent = value;
      else if (key === "class") made.className = value;
      else if (key === "on") for (const [event, handler] of Object.entries(value)) made.addEventListener(event, handler);
      else made.setAttribute(key, value);
    }
    made.append(...children);
    return made;
  }

  function scaleOf(values) {
    const known = values.filter((value) => value !== null);
    const low = Math.min(...known.slice(0, 5000)), high = Math.max(...known.slice(0, 5000));
    return (value) => Math.max(0, Math.min(100, (100 * (value - low)) / (high - low || 1)));
  }

  function short(value) {
    if (Math.abs(value) < 10000) return Number.isInteger(value) ? value.toLocaleString("en") : String(Number(value.toPrecision(3)));
    const unit = ["", "k", "M", "G", "T", "P"];
    let k = 0;
    while (Math.abs(value) >= 1000 && k < unit.length - 1) { value /= 1000; k += 1; }
    return `${Number(value.toPrecision(3))} ${unit[k]}`;
  }

  const show = {
    text: (value) => value,
    share: (value) => (100 * value).toFixed(1),
    number: short,
    date: (value) => `${value.slice(0, 4)}-${value.slice(4, 6)}-${value.slice(6, 8)} ${value.slice(9, 11)}:${value.slice(11, 13)}`,
  };

  function accuracy(row) {
    const [value, low, high] = [row[at.accuracy], row[at.low], row[at.high]];
    const best = row[at.best], half = low === null ? "" : ` ± ${(50 * (high - low)).toFixed(1)}`;
    const cell = element("td", { class: best ? "n best" : "n", text: (100 * value).toFixed(1) + half });
    if (best) cell.title = best;
    const whisker = element("span", { class: "whisker", "aria-hidden": "true" });
    if (low !== null) {
      const bar = element("i");
      bar.style.left = `${scale(low)}%`;
      bar.style.width = `${scale(high) - scale(low)}%`;
      whisker.append(bar);
    }
    const dot = element("b");
    dot.style.left = `${scale(value)}%`;
    whisker.append(dot);
    cell.append(whisker);
    return cell;
  }

  function cell(row, column) {
    if (column.key === "accuracy") return accuracy(row);
    const value = row[column.i];
    const text = value === null ? "" : show[column.kind](value);
    const kind = [column.kind === "text" ? "" : "n", column.spare ? "spare" : "", column.key === "features" ? "features" : ""];
    const made = element(column.key === "features" ? "th" : "td", { class: kind.filter(Boolean).join(" "), text });
    if (column.key === "features") { made.scope = "row"; made.title = row[at.full]; }
    return made;
  }

  function matching() {
    const chosen = Object.entries(state.only).filter(([, value]) => value !== "");
    const found = [];
    for (let i = 0; i < data.rows.length; i += 1) {
      if (state.words.every((word) => hay[i].includes(word)) && chosen.every(([k, value]) => data.rows[i][k] === value)) found.push(i);
    }
    const by = state.sort, way = state.down ? -1 : 1;
    const text = data.columns[by].kind === "text" ? new Intl.Collator("en", { numeric: true }).compare : null;
    return found.sort((a, b) => {
      const [x, y] = [data.rows[a][by], data.rows[b][by]];
      if (x === null || y === null) return (x === null) - (y === null) || a - b;
      return way * (text ? text(x, y) : x < y ? -1 : x > y ? 1 : 0) || a - b;
    });
  }

  function drawHead() {
    const cells = shown.map((column) => {
      const sorted = column.i === state.sort ? (state.down ? "descending" : "ascending") : "none";
      const button = element("button", { type: "button", text: column.title, title: column.hint ?? "", on: { click: () => {
        state.down = column.i === state.sort ? !state.down : column.kind !== "text";
        state.sort = column.i;
        state.page = 0;
        draw();
        head.querySelectorAll("button")[shown.indexOf(column)].focus();
      } } });
      const kind = [column.kind === "text" ? "" : "n", column.spare ? "spare" : ""].filter(Boolean).join(" ");
      return element("th", { scope: "col", class: kind, "aria-sort": sorted }, button);
    });
    head.replaceChildren(element("tr", {}, element("th", { scope: "col", "aria-label": "Provenance" }), ...cells));
  }

  function command(text) {
    const pre = element("pre", { text });
    const button = element("button", { type: "button", class: "copy", text: "Copy", on: { click: async () => {
      try { await navigator.clipboard.writeText(text); button.textContent = "Copied"; }
      catch { window.getSelection().selectAllChildren(pre); button.textContent = "Selected"; }
    } } });
    return element("div", { class: "command" }, pre, button);
  }

  function provenance(run) {
    const facts = element("div", { class: "facts" });
    for (const [name, value] of run.facts) facts.append(element("div", {}, element("span", { text: `${name} ` }), value));
    const sets = element("ul", { class: "prints" }, ...run.sets.map((i) => element("li", { text: data.sets[i] })));
    const made = element("div", { class: "run" }, facts);
    if (run.commands.length) made.append(element("h4", { text: "Make it again" }), ...run.commands.map((i) => command(data.commands[i])));
    made.append(element("h4", { text: "Feature sets: split, backbone, fingerprint" }), sets);
    if (run.targets.length) made.append(element("h4", { text: "Targets" }), element("ul", { class: "prints" }, ...run.targets.map((text) => element("li", { text }))));
    made.append(element("h4", { text: "Versions" }), element("div", { class: "prints", text: data.versions[run.versions] }));
    return made;
  }

  function detail(i) {
    const inside = element("div", { class: "inside" }, ...data.runs[i].map(provenance));
    return element("tr", { class: "detail", id: `detail-${i}` }, element("td", { colspan: shown.length + 1 }, inside));
  }

  function drawRow(i) {
    const row = data.rows[i];
    const open = element("button", { type: "button", class: "open", "aria-expanded": state.open.has(i),
      "aria-controls": `detail-${i}`, "aria-label": `Provenance of ${row[at.full]}` });
    const made = element("tr", { class: "row" }, element("td", {}, open), ...shown.map((column) => cell(row, column)));
    open.addEventListener("click", () => {
      const opened = !state.open.delete(i);
      if (opened) { state.open.add(i); made.after(detail(i)); } else made.nextElementSibling.remove();
      open.setAttribute("aria-expanded", opened);
    });
    return state.open.has(i) ? [made, detail(i)] : [made];
  }

  function draw() {
    const found = matching(), pages = Math.max(1, Math.ceil(found.length / PAGE));
    state.page = Math.min(state.page, pages - 1);
    const from = state.page * PAGE, part = found.slice(from, from + PAGE);
    drawHead();
    body.replaceChildren(...part.flatMap(drawRow));
    const all = data.rows.length.toLocaleString("en");
    count.textContent = found.length === data.rows.length ? `${all} results` : `${found.length.toLocaleString("en")} of ${all} results`;
    const turn = (text, step, able) => {
      const button = element("button", { type: "button", text, on: { click: () => { state.page += step; draw(); } } });
      button.disabled = !able;
      return button;
    };
    pager.hidden = pages === 1;
    pager.replaceChildren(turn("Previous", -1, state.page > 0), element("span", { text: `page ${state.page + 1} of ${pages}` }), turn("Next", 1, state.page < pages - 1));
  }

  function drawFilters() {
    for (const column of data.columns) {
      if (!column.pick) continue;
      const i = at[column.key], values = [...new Set(data.rows.map((row) => row[i]))].filter((value) => value !== null);
      if (values.length < 2 || values.length > 200) continue;
      const select = element("select", { on: { change: () => { state.only[i] = select.value; state.page = 0; draw(); } } },
        element("option", { value: "", text: "all" }), ...values.sort().map((value) => element("option", { value, text: value })));
      document.getElementById("filters").append(element("label", {}, element("span", { text: column.title }), select));
    }
  }

  let later = 0;
  filter.addEventListener("input", () => {
    clearTimeout(later);
    later = setTimeout(() => {
      state.words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
      state.page = 0;
      draw();
    }, 60);
  });
  document.getElementById("filters").addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) { event.preventDefault(); filter.focus(); }
    if (event.key === "Escape" && event.target === filter) { filter.value = ""; filter.dispatchEvent(new Event("input")); }
  });

  const theme = document.getElementById("theme"), root = document.documentElement;
  const keep = { get: () => { try { return localStorage.getItem("theme"); } catch { return null; } },
    set: (value) => { try { localStorage.setItem("theme", value); } catch { /* a file may have no storage */ } } };
  function paint(dark) {
    root.style.colorScheme = dark ? "dark" : "light";
    theme.textContent = dark ? "Light" : "Dark";
    theme.setAttribute("aria-pressed", dark);
  }
  const system = matchMedia("(prefers-color-scheme: dark)");
  let dark = keep.get() === null ? system.matches : keep.get() === "dark";
  paint(dark);
  system.addEventListener("change", () => { if (keep.get() === null) paint((dark = system.matches)); });
  theme.addEventListener("click", () => { dark = !dark; keep.set(dark ? "dark" : "light"); paint(dark); });

  drawFilters();
  draw();
})();
