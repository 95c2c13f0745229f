"use strict";
// The list of targets, failures first. The report gives it the rows that the page holds; the live page gives it
// pages of the journal. At most about 600 rows are in the document: a block that is far away keeps its height alone,
// so that no row moves while it is read.
//
// TargetTable.mount(root, source, options) -> table
//   source.page(filter, after, n) -> Promise<{rows, next, total}>
//     filter   {q, outcomes: [], gateway, wave, sort}; sort is "" (failures first) or one of source.sorts, "-" before it
//              for the other direction
//     after    null for the first page, else the `next` of the page before; the table does not look into it
//     rows     [{id, name, gateway, wave, outcome, reason, seconds, attempts}]; name, reason and seconds may be null,
//              attempts is their number
//     next     a text, or null behind the last page
//     total    how many targets match; null if that is not known
//   source.detail(id) -> Promise<{evidence, attempts: [{act, started, seconds, status, code, message, sent}]}>
//     started  milliseconds since 1970, or a time as ISO 8601
//   source.sorts  the orders beside failures first, of "plan", "id", "wave", "attempts", "seconds"; may be empty
//   options  {search: id of the search field, whole: how many targets there are, hold: text of the button for newer rows}
//   table.setFacets({gateways: [], waves: [], outcomes: {name: count}, whole})   what the filters offer; any time again
//   table.reload()      reads the list again from its beginning
//   table.noteChange()  the targets have changed: reloads if nobody reads the list, else offers a button that does
// The filter stands in the address: #q=text&outcome=failed,unknown&gateway=name&wave=name&sort=-seconds
const TargetTable = (() => {
  const { ORDER, make, told, visible, count, countTargets, duration, outcomeLabel } = Parts;
  const BLOCK = 100;
  const COLUMNS = [["outcome", "Outcome", ""], ["id", "Target", ""], ["wave", "Wave", ""], ["attempts", "Requests", "number"], ["seconds", "Time", "number"]];
  const SORTS = [
    ["", "failures first"], ["plan", "in the plan’s order"], ["-seconds", "slowest first"], ["-attempts", "most requests first"],
    ["id", "by target"], ["wave", "by wave"],
  ];
  const NAMES = ["q", "outcome", "gateway", "wave", "sort"];
  const EMPTY = { q: "", outcomes: [], gateway: "", wave: "", sort: "" };

  const setRole = (element, role) => {
    // The cards of a narrow screen are no table cells for the layout; for a screen reader they stay some.
    element.setAttribute("role", role);
    return element;
  };

  const readAddress = (sorts) => {
    const query = new URLSearchParams(location.hash.slice(1).replaceAll("+", "%2B"));
    if (!NAMES.some((name) => query.has(name))) return null;
    const sort = query.get("sort") || "";
    return {
      q: query.get("q") || "",
      outcomes: (query.get("outcome") || "").split(",").filter((name) => ORDER.includes(name)),
      gateway: query.get("gateway") || "",
      wave: query.get("wave") || "",
      sort: sorts.includes(sort.replace(/^-/, "")) ? sort : "",
    };
  };

  const writeAddress = (filter) => {
    const given = { q: filter.q, outcome: filter.outcomes.join(","), gateway: filter.gateway, wave: filter.wave, sort: filter.sort };
    const parts = Object.fromEntries(Object.entries(given).filter(([, value]) => value));
    try {
      history.replaceState(null, "", Object.keys(parts).length ? Parts.linkTargets(parts) : "#targets");
    } catch {
      // Inside a sandboxed frame the address cannot change; the page works without.
    }
  };

  const attemptRow = (attempt, index) => {
    const at = new Date(attempt.started).toISOString();
    return make("tr", "",
      make("td", "number quiet", String(index + 1)),
      make("td", "code when", `${at.slice(0, 10)} ${at.slice(11, 23)}`),
      make("td", "", attempt.act),
      make("td", "code", attempt.sent === false ? "not sent" : attempt.status === null ? "no reply" : String(attempt.status)),
      make("td", "number", duration(attempt.seconds)),
      make("td", "code", visible(attempt.code || "")),
      make("td", "words", told(attempt.message || "")));
  };

  const attemptTable = (attempts) => {
    const head = make("tr");
    for (const name of ["#", "Started (UTC)", "Act", "Status", "Took", "Code", "Message"]) {
      const cell = make("th", name === "#" || name === "Took" ? "number" : "", name);
      cell.scope = "col";
      head.append(cell);
    }
    return make("table", "attempts", make("thead", "", head), make("tbody", "", ...attempts.map(attemptRow)));
  };

  const fillDetail = (cell, { evidence, attempts }) => {
    const parts = [];
    if (evidence) parts.push(make("p", "fact", make("span", "quiet", "Evidence "), visible(evidence)));
    if (attempts.length) {
      const frame = make("div", "wide", attemptTable(attempts));
      frame.tabIndex = 0;
      frame.setAttribute("role", "region");
      frame.setAttribute("aria-label", "Requests of this target");
      parts.push(frame);
    } else {
      parts.push(make("p", "fact quiet", "No request was sent for this target."));
    }
    cell.replaceChildren(...parts);
  };

  const mount = (root, source, options = {}) => {
    const sorts = source.sorts || [];
    const opened = new Set();
    let filter = readAddress(sorts) || EMPTY;
    let drawn = filter;
    let whole = options.whole || 0;
    let turn = 0;
    let blocks = [];
    let alone = false;

    const search = make("input");
    search.type = "search";
    search.placeholder = "id, name, code, message, reason";
    search.autocomplete = "off";
    search.spellcheck = false;
    if (options.search) search.id = options.search;
    const gateway = make("select"), wave = make("select"), order = make("select");
    const outcomes = make("fieldset", "outcomes", make("legend", "", "Outcome"));
    const label = (text, field, className) => make("label", className, make("span", "", text), field);
    const gatewayLabel = label("Gateway", gateway), waveLabel = label("Wave", wave), orderLabel = label("Order", order);
    const shown = make("p", "shown");
    shown.setAttribute("role", "status");
    const clear = make("button", "plain-button", "Show all");
    const newer = make("button", "plain-button newer", options.hold || "The targets have changed: show them now");
    const table = setRole(make("table", "targets"), "table");
    const heads = new Map();

    const buildHead = () => {
      const row = setRole(make("tr"), "row");
      for (const [key, text, className] of COLUMNS) {
        const cell = setRole(make("th", className), "columnheader");
        cell.scope = "col";
        if (key === "outcome" ? sorts.length : sorts.includes(key)) {
          const button = make("button", "", text);
          button.type = "button";
          button.dataset.sort = key;
          button.addEventListener("click", () => change({ sort: turnSort(key) }));
          cell.append(button);
          heads.set(key, cell);
        } else {
          cell.append(text);
        }
        row.append(cell);
      }
      const caption = make("caption", "away", "Targets, failures first; the button in a row shows its requests");
      table.append(caption, setRole(make("thead", "", row), "rowgroup"));
    };

    const turnSort = (key) => {
      if (key === "outcome") return "";
      return filter.sort === key ? `-${key}` : filter.sort === `-${key}` ? "" : key;
    };

    const toggle = async (button, row, target) => {
      const open = button.getAttribute("aria-expanded") === "true";
      button.setAttribute("aria-expanded", String(!open));
      if (open) {
        opened.delete(target.id);
        row.nextSibling.remove();
        return;
      }
      opened.add(target.id);
      const cell = setRole(make("td", "", make("p", "fact quiet", "Reading …")), "cell");
      cell.colSpan = COLUMNS.length;
      row.after(setRole(make("tr", "detail", cell), "row"));
      try {
        fillDetail(cell, await source.detail(target.id));
      } catch {
        cell.replaceChildren(make("p", "fact", "The requests cannot be read now; close and open this row to try again."));
      }
    };

    const buildRow = (target) => {
      const row = setRole(make("tr", "target"), "row");
      const button = make("button", "open code", told(target.id));
      button.type = "button";
      button.setAttribute("aria-expanded", "false");
      button.addEventListener("click", () => toggle(button, row, target));
      const cells = [
        make("td", "state-cell", outcomeLabel(target.outcome)),
        make("td", "name", button,
          target.name ? make("p", "called", told(target.name)) : null,
          target.reason ? make("p", "reason", told(target.reason)) : null),
        make("td", "wave", told(target.wave)),
        make("td", target.attempts > 1 ? "number tries" : "number tries quiet", count(target.attempts)),
        make("td", "number time", duration(target.seconds)),
      ];
      row.append(...cells.map((cell) => setRole(cell, "cell")));
      return row;
    };

    const buildSpacer = (height) => {
      const cell = make("td", "spacer");
      cell.colSpan = COLUMNS.length;
      cell.style.height = `${height}px`;
      return make("tr", "", cell);
    };

    const empty = (block, height) => {
      // The first rows stay: the list is often opened from far above it.
      if (!block.filled || block === blocks[0] || block.body.contains(document.activeElement)) return;
      block.filled = false;
      block.body.setAttribute("aria-hidden", "true");
      block.body.replaceChildren(buildSpacer(height));
    };

    const watcher = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        const block = blocks.find((each) => each.body === entry.target);
        if (!block) continue;
        if (entry.isIntersecting) load(block);
        else empty(block, entry.boundingClientRect.height);
      }
    }, { rootMargin: "1500px 0px" });

    const addBlock = (after) => {
      const block = { body: setRole(make("tbody", "", buildSpacer(40)), "rowgroup"), after, filled: false, busy: false, ended: false };
      blocks.push(block);
      table.append(block.body);
      watcher.observe(block.body);
      return block;
    };

    const load = async (block) => {
      if (block.filled || block.busy) return;
      block.busy = true;
      const mine = turn;
      try {
        const page = await source.page(filter, block.after, BLOCK);
        if (mine === turn) fill(block, page);
      } catch {
        if (mine === turn) shown.textContent = "The targets cannot be read now.";
      } finally {
        block.busy = false;
      }
    };

    const fill = (block, page) => {
      const rows = page.rows.map(buildRow);
      block.filled = true;
      block.body.removeAttribute("aria-hidden");
      block.body.replaceChildren(...rows);
      page.rows.forEach((target, place) => {
        if (opened.has(target.id)) toggle(rows[place].querySelector("button"), rows[place], target);
      });
      if (block === blocks[0]) showCount(page, rows);
      if (page.next !== null && block === blocks[blocks.length - 1]) addBlock(page.next);
    };

    const showCount = (page, rows) => {
      const total = page.total === null || page.total === undefined ? null : page.total;
      const filtered = Boolean(filter.q || filter.outcomes.length || filter.gateway || filter.wave);
      shown.textContent = !rows.length && page.next === null
        ? (filtered ? "No target matches." : "No targets.")
        : total === null ? "" : total < whole ? `${countTargets(total)} of ${count(whole)}` : countTargets(total);
      clear.hidden = !filtered;
      table.hidden = !rows.length;
      alone = rows.length === 1 && page.next === null;
      if (alone && rows[0].querySelector("button").getAttribute("aria-expanded") !== "true") rows[0].querySelector("button").click();
    };

    // The rows stay until what follows them has come, so that the list neither blinks nor moves what is below it.
    // If it does not come they stay as well: they are what was last known, unless they are of another filter.
    const reload = async () => {
      turn += 1;
      const mine = turn;
      const before = [...table.tBodies];
      newer.hidden = true;
      watcher.disconnect();
      blocks = [];
      table.hidden = false;
      for (const [key, cell] of heads) {
        const sorted = (filter.sort.replace(/^-/, "") || "outcome") === key;
        cell.setAttribute("aria-sort", !sorted ? "none" : filter.sort.startsWith("-") ? "descending" : "ascending");
      }
      const first = addBlock(null);
      await load(first);
      if (mine !== turn) return;
      if (first.filled) drawn = filter;
      for (const body of first.filled || drawn !== filter ? before : [first.body]) body.remove();
    };

    const showFilter = () => {
      if (search.value !== filter.q) search.value = filter.q;
      gateway.value = filter.gateway;
      wave.value = filter.wave;
      order.value = filter.sort;
      for (const box of outcomes.querySelectorAll("input")) box.checked = filter.outcomes.includes(box.value);
    };

    const change = (fields) => {
      filter = { ...filter, ...fields };
      showFilter();
      writeAddress(filter);
      return reload();
    };

    const setOptions = (field, names, chosen) => {
      const all = make("option", "", "all");
      all.value = "";
      const rest = [...new Set(chosen && !names.includes(chosen) ? [...names, chosen] : names)].map((name) => {
        const option = make("option", "", visible(name));
        option.value = name;
        return option;
      });
      field.replaceChildren(all, ...rest);
      field.value = chosen;
      field.parentNode.hidden = rest.length < 2;
    };

    const setOutcomes = (counts) => {
      const known = new Map([...outcomes.querySelectorAll("label")].map((each) => [each.dataset.outcome, each]));
      for (const outcome of ORDER.filter((name) => counts[name] || known.has(name))) {
        const choice = known.get(outcome) || buildChoice(outcome);
        const number = count(counts[outcome] || 0);
        if (choice.lastElementChild.textContent !== number) choice.lastElementChild.textContent = number;
        // A choice that filters stays, even if nothing is left of it.
        choice.hidden = !counts[outcome] && !filter.outcomes.includes(outcome);
        if (!known.has(outcome)) insertChoice(choice);
      }
      outcomes.hidden = !outcomes.querySelector("label:not([hidden])");
    };

    // Failures first, whenever they come.
    const insertChoice = (choice) => {
      const place = (each) => ORDER.indexOf(each.dataset.outcome);
      const next = [...outcomes.querySelectorAll("label")].find((each) => place(each) > place(choice));
      outcomes.insertBefore(choice, next || null);
    };

    const buildChoice = (outcome) => {
      const box = make("input");
      box.type = "checkbox";
      box.value = outcome;
      box.checked = filter.outcomes.includes(outcome);
      box.addEventListener("change", () =>
        change({ outcomes: [...outcomes.querySelectorAll("input:checked")].map((checked) => checked.value) }));
      const choice = make("label", "choice", box, outcomeLabel(outcome), make("span", "quiet"));
      choice.dataset.outcome = outcome;
      return choice;
    };

    const setFacets = (facets) => {
      if (facets.gateways) setOptions(gateway, facets.gateways, filter.gateway);
      if (facets.waves) setOptions(wave, facets.waves, filter.wave);
      if (facets.outcomes) setOutcomes(facets.outcomes);
      if (facets.whole !== undefined) whole = facets.whole;
    };

    const isRead = () => {
      const box = table.getBoundingClientRect();
      return table.contains(document.activeElement) || opened.size > 0 || blocks.length > 2 || box.top < 0;
    };

    const noteChange = () => {
      if (isRead()) newer.hidden = false;
      else reload();
    };

    const step = (event) => {
      const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (!by || !event.target.classList.contains("open")) return;
      const buttons = [...table.querySelectorAll(".open")];
      const next = buttons[buttons.indexOf(event.target) + by];
      if (!next) return;
      event.preventDefault();
      next.focus();
    };

    const follow = () => {
      const wanted = readAddress(sorts);
      if (!wanted) return;
      filter = wanted;
      opened.clear();
      showFilter();
      reload();
      root.scrollIntoView();
    };

    for (const [value, text] of SORTS.filter(([value]) => !value || sorts.includes(value.replace(/^-/, "")))) {
      const option = make("option", "", text);
      option.value = value;
      order.append(option);
    }
    orderLabel.hidden = !sorts.length;
    gatewayLabel.hidden = waveLabel.hidden = clear.hidden = newer.hidden = true;
    clear.type = newer.type = "button";
    buildHead();
    root.classList.add("target-table");
    root.append(
      make("div", "controls", label("Search", search, "search"), gatewayLabel, waveLabel, orderLabel, outcomes),
      make("div", "count-line", shown, clear, newer), table);
    let waiting;
    search.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => change({ q: search.value }), 120);
    });
    gateway.addEventListener("change", () => change({ gateway: gateway.value }));
    wave.addEventListener("change", () => change({ wave: wave.value }));
    order.addEventListener("change", () => change({ sort: order.value }));
    clear.addEventListener("click", () => {
      change({ ...EMPTY, sort: filter.sort });
      search.focus();
    });
    newer.addEventListener("click", () => reload());
    table.addEventListener("keydown", step);
    addEventListener("hashchange", follow);
    showFilter();
    if (readAddress(sorts)) root.scrollIntoView();
    reload();
    return { setFacets, reload, noteChange };
  };

  return { mount };
})();
