"use strict";
(() => {
  const PAGE = 50;
  const ORDER = ["failed", "unknown", "not_started", "undeployed", "already_undeployed", "restored", "already_deployed"];
  const INVISIBLE = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]/g;
  const PAIR = /[\ud800-\udbff][\udc00-\udfff]|[^]/g;

  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);
  const text = (index) => (index === null ? "" : data.texts[index]);
  const targets = data.rows.map((row, place) => ({
    place,
    id: row[0],
    gateway: text(row[1]),
    wave: text(row[2]),
    outcome: text(row[3]),
    reason: text(row[4]),
    evidence: text(row[5]),
    seconds: row[6],
    attempts: row[7],
    haystack: null,
  }));

  const KEYS = {
    id: (target) => target.id,
    wave: (target) => target.wave,
    outcome: (target) => ORDER.indexOf(target.outcome),
    attempts: (target) => target.attempts.length,
    seconds: (target) => (target.seconds === null ? -1 : target.seconds),
  };

  // What the address says: #q=text&outcome=failed,unknown&gateway=name&wave=name&sort=-seconds&page=2
  const readAddress = () => {
    const query = new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1).replaceAll("+", "%2B") : "");
    const sort = query.get("sort") || "";
    return {
      q: query.get("q") || "",
      outcomes: (query.get("outcome") || "").split(",").filter((name) => ORDER.includes(name)),
      gateway: query.get("gateway") || "",
      wave: query.get("wave") || "",
      sort: sort.replace(/^-/, "") in KEYS ? sort : "",
      page: Math.max(1, Number.parseInt(query.get("page"), 10) || 1),
    };
  };

  const writeAddress = () => {
    const parts = [
      ["q", view.q],
      ["outcome", view.outcomes.join(",")],
      ["gateway", view.gateway],
      ["wave", view.wave],
      ["sort", view.sort],
      ["page", view.page > 1 ? String(view.page) : ""],
    ].filter(([, value]) => value);
    const hash = parts.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&");
    try {
      history.replaceState(null, "", hash ? `#${hash}` : "#targets");
    } catch {
      // Inside a sandboxed frame the address cannot change; the page works without.
    }
  };

  let view = readAddress();
  let found = [];

  const visible = (value) =>
    value.replace(PAIR, (sign) =>
      sign.length > 1 ? sign : sign.replace(INVISIBLE, (odd) => `\\u${odd.charCodeAt(0).toString(16).padStart(4, "0")}`));

  const make = (name, className, content) => {
    const element = document.createElement(name);
    if (className) element.className = className;
    if (content !== undefined) element.append(content);
    return element;
  };

  const duration = (seconds) => {
    if (seconds === null) return "–";
    if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`;
    if (seconds < 59.95) return `${seconds.toFixed(seconds < 10 ? 2 : 1)} s`;
    const whole = Math.round(seconds);
    return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
  };

  const haystack = (target) => {
    if (target.haystack === null) {
      const replies = target.attempts.flatMap((attempt) => [attempt[3] === null ? "no reply" : `HTTP ${attempt[3]}`, text(attempt[4]), text(attempt[5])]);
      target.haystack = [target.id, target.reason, target.wave, ...new Set(replies)].join("\n").toLowerCase();
    }
    return target.haystack;
  };

  const select = () => {
    const needle = view.q.trim().toLowerCase();
    const words = needle.split(/\s+/).filter(Boolean);
    // A whole id may hold spaces: it is looked for as it is, before its words are.
    const exact = needle && targets.some((target) => target.id.toLowerCase() === needle);
    found = targets.filter((target) =>
      (!view.outcomes.length || view.outcomes.includes(target.outcome)) &&
      (!view.gateway || target.gateway === view.gateway) &&
      (!view.wave || target.wave === view.wave) &&
      (exact ? target.id.toLowerCase() === needle : words.every((word) => haystack(target).includes(word))));
    const key = KEYS[view.sort.replace(/^-/, "")];
    if (key) {
      const sign = view.sort.startsWith("-") ? -1 : 1;
      found.sort((one, other) => {
        const a = key(one), b = key(other);
        return a < b ? -sign : a > b ? sign : one.place - other.place;
      });
    }
    view.page = Math.min(view.page, Math.max(1, Math.ceil(found.length / PAGE)));
  };

  const outcomeLabel = (outcome) => {
    const label = make("span", "outcome");
    label.append(make("span", `key fill-${outcome}`), outcome.replaceAll("_", " "));
    return label;
  };

  const attemptRow = (attempt, index) => {
    const row = make("tr");
    const at = new Date(data.start + attempt[1]).toISOString();
    row.append(
      make("td", "number quiet", String(index + 1)),
      make("td", "code", `${at.slice(0, 10)} ${at.slice(11, 23)}`),
      make("td", "", text(attempt[0])),
      make("td", "code", attempt[3] === null ? "no reply" : String(attempt[3])),
      make("td", "number", duration(attempt[2])),
      make("td", "code", visible(text(attempt[4]))),
      make("td", "words", make("bdi", "", visible(text(attempt[5])))));
    return row;
  };

  const attemptTable = (target) => {
    const table = make("table", "attempts");
    const head = make("tr");
    for (const name of ["#", "Started", "Act", "Status", "Took", "Code", "Message"]) {
      const cell = make("th", name === "#" || name === "Took" ? "number" : "", name);
      cell.scope = "col";
      head.append(cell);
    }
    table.append(make("thead", "", head), make("tbody"));
    table.tBodies[0].append(...target.attempts.map(attemptRow));
    return table;
  };

  const detail = (target) => {
    const row = make("tr", "detail");
    const cell = make("td");
    cell.colSpan = 5;
    if (target.evidence) {
      const line = make("p", "fact", make("span", "quiet", "Evidence "));
      line.append(target.evidence);
      cell.append(line);
    }
    if (target.attempts.length) {
      const frame = make("div", "wide", attemptTable(target));
      frame.tabIndex = 0;
      frame.setAttribute("role", "region");
      frame.setAttribute("aria-label", "Requests of this target");
      cell.append(frame);
    } else {
      cell.append(make("p", "fact quiet", "No request was sent for this target."));
    }
    row.append(cell);
    return row;
  };

  const toggle = (button, row, target) => {
    const open = button.getAttribute("aria-expanded") === "true";
    button.setAttribute("aria-expanded", String(!open));
    if (open) row.nextSibling.remove();
    else row.after(detail(target));
  };

  const targetRow = (target) => {
    const row = make("tr", "target");
    const open = make("button", "open code");
    open.type = "button";
    open.setAttribute("aria-expanded", "false");
    open.append(make("bdi", "", visible(target.id)));
    open.addEventListener("click", () => toggle(open, row, target));
    const name = make("td", "name", open);
    if (target.reason) name.append(make("p", "reason", make("bdi", "", visible(target.reason))));
    const attempts = target.attempts.length;
    row.append(
      make("td", "", outcomeLabel(target.outcome)),
      name,
      make("td", "wave", make("bdi", "", visible(target.wave))),
      make("td", attempts > 1 ? "number" : "number quiet", String(attempts)),
      make("td", "number", duration(target.seconds)));
    return row;
  };

  const plural = (count) => `${count.toLocaleString("en")} ${count === 1 ? "target" : "targets"}`;

  const show = () => {
    select();
    const first = (view.page - 1) * PAGE;
    const shown = found.slice(first, first + PAGE);
    const rows = byId("rows");
    rows.replaceChildren(...shown.map(targetRow));
    if (shown.length === 1) rows.querySelector("button").click();
    const filtered = found.length < targets.length;
    const whole = filtered ? `${plural(found.length)} of ${targets.length.toLocaleString("en")}` : plural(found.length);
    byId("shown").textContent = !found.length
      ? "No target matches."
      : found.length <= PAGE ? whole : `${(first + 1).toLocaleString("en")}–${(first + shown.length).toLocaleString("en")} of ${whole}`;
    byId("clear").hidden = !filtered;
    byId("previous").disabled = view.page === 1;
    byId("following").disabled = first + PAGE >= found.length;
    byId("previous").parentNode.hidden = found.length <= PAGE;
    byId("list").hidden = !found.length;
    for (const button of document.querySelectorAll("[data-sort]")) {
      const sorted = view.sort.replace(/^-/, "") === button.dataset.sort;
      const direction = !sorted ? "none" : view.sort.startsWith("-") ? "descending" : "ascending";
      button.closest("th").setAttribute("aria-sort", direction);
    }
  };

  const fillControls = () => {
    byId("search").value = view.q;
    byId("gateway").value = view.gateway;
    byId("wave").value = view.wave;
    for (const box of byId("outcomes").querySelectorAll("input")) box.checked = view.outcomes.includes(box.value);
  };

  const change = (fields) => {
    view = { ...view, page: 1, ...fields };
    show();
    writeAddress();
  };

  const addOptions = (select, names) => {
    for (const name of names) {
      const option = make("option", "", visible(name));
      option.value = name;
      select.append(option);
    }
    select.addEventListener("change", () => change({ [select.id]: select.value }));
    select.parentNode.hidden = names.size < 2;
  };

  const addOutcomes = () => {
    const counts = new Map();
    for (const target of targets) counts.set(target.outcome, (counts.get(target.outcome) || 0) + 1);
    const group = byId("outcomes");
    for (const outcome of ORDER.filter((name) => counts.has(name))) {
      const box = make("input");
      box.type = "checkbox";
      box.value = outcome;
      box.addEventListener("change", () =>
        change({ outcomes: [...group.querySelectorAll("input:checked")].map((checked) => checked.value) }));
      const label = make("label", "choice", box);
      label.append(outcomeLabel(outcome), make("span", "quiet", counts.get(outcome).toLocaleString("en")));
      group.append(label);
    }
  };

  const turn = (step) => {
    change({ page: view.page + step });
    byId("targets").scrollIntoView();
  };

  const nextSort = (name) => {
    if (view.sort === name) return `-${name}`;
    return view.sort === `-${name}` ? "" : name;
  };

  const follow = () => {
    if (!location.hash.includes("=")) return;
    view = readAddress();
    fillControls();
    show();
    byId("targets").scrollIntoView();
  };

  addOptions(byId("gateway"), new Set(targets.map((target) => target.gateway)));
  addOptions(byId("wave"), new Set(targets.map((target) => target.wave)));
  addOutcomes();
  byId("search").addEventListener("input", (event) => change({ q: event.target.value }));
  byId("previous").addEventListener("click", () => turn(-1));
  byId("following").addEventListener("click", () => turn(1));
  byId("clear").addEventListener("click", () => {
    change({ q: "", outcomes: [], gateway: "", wave: "" });
    fillControls();
  });
  for (const button of document.querySelectorAll("[data-sort]"))
    button.addEventListener("click", () => change({ sort: nextSort(button.dataset.sort) }));
  addEventListener("hashchange", follow);
  byId("browser").hidden = false;
  fillControls();
  show();
  follow();
})();
