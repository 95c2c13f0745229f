"use strict";
// The report's own script: the rows that the page holds, as a source for the list of targets.
(() => {
  const { ORDER } = Parts;
  const OLD_BROWSER = "This browser cannot unpack the list of targets (Chrome 80, Firefox 113 and Safari 16.4 can); report.csv has all of them.";

  const unpack = (text) => {
    const bytes = Uint8Array.from(atob(text.replaceAll("\n", "")), (sign) => sign.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
  };

  const readTargets = async () => {
    const holder = document.getElementById("data");
    const text = holder.textContent;
    holder.remove();
    return holder.type === "application/json" ? JSON.parse(text) : unpack(text.trim());
  };

  const buildSource = (data) => {
    const text = (index) => (index === null ? "" : data.texts[index]);
    const targets = data.rows.map(([id, gateway, wave, outcome, reason, evidence, seconds, attempts, name], place) => ({
      place, id, name: name || null, gateway: text(gateway), wave: text(wave), outcome: text(outcome), reason: text(reason),
      evidence: text(evidence), seconds, exchanges: attempts, attempts: attempts.filter((attempt) => !attempt[6]).length, haystack: null,
    }));
    const byId = new Map(targets.map((target) => [target.id, target]));
    const rank = (target) => ORDER.indexOf(target.outcome);
    const KEYS = {
      "": rank,
      plan: (target) => target.place,
      id: (target) => target.id,
      wave: (target) => target.wave,
      attempts: (target) => target.attempts,
      seconds: (target) => (target.seconds === null ? -1 : target.seconds),
    };

    // Neither case nor accents count in a search, and the four letters I of Turkish are one.
    const fold = (text) => (/[^ -~\n]/.test(text) ? text.normalize("NFD").replace(/\p{M}/gu, "").replace(/\u0131/g, "i") : text)
      .toLowerCase();

    const haystack = (target) => {
      if (target.haystack === null) {
        const replies = target.exchanges.flatMap((attempt) =>
          [attempt[6] ? "not sent" : attempt[3] === null ? "no reply" : `HTTP ${attempt[3]}`, text(attempt[4]), text(attempt[5])]);
        target.haystack = fold([target.id, target.name || "", target.reason, target.wave, ...new Set(replies)].join("\n"));
      }
      return target.haystack;
    };

    const select = (filter) => {
      const needle = fold(filter.q.trim());
      const words = needle.split(/\s+/).filter(Boolean);
      // A whole id may hold spaces: it is looked for as it is, before its words are.
      const exact = needle && targets.some((target) => fold(target.id) === needle);
      const found = targets.filter((target) =>
        (!filter.outcomes.length || filter.outcomes.includes(target.outcome)) &&
        (!filter.gateway || target.gateway === filter.gateway) &&
        (!filter.wave || target.wave === filter.wave) &&
        (exact ? fold(target.id) === needle : words.every((word) => haystack(target).includes(word))));
      const key = KEYS[filter.sort.replace(/^-/, "")], sign = filter.sort.startsWith("-") ? -1 : 1;
      return found.sort((one, other) => {
        const a = key(one), b = key(other);
        return a < b ? -sign : a > b ? sign : one.place - other.place;
      });
    };

    let last = null, found = [];
    const page = async (filter, after, n) => {
      if (filter !== last) {
        found = select(filter);
        last = filter;
      }
      const first = Number(after || 0), end = first + n;
      return { rows: found.slice(first, end), next: end < found.length ? String(end) : null, total: found.length };
    };

    const detail = async (id) => {
      const { evidence, exchanges } = byId.get(id);
      return { evidence, attempts: exchanges.map(([act, after, seconds, status, code, message, unsent]) => ({
        act: text(act), started: data.start + after, seconds, status, code: text(code), message: text(message), sent: !unsent,
      })) };
    };

    const countOutcomes = () => {
      const counts = {};
      for (const target of targets) counts[target.outcome] = (counts[target.outcome] || 0) + 1;
      return counts;
    };

    const facets = {
      gateways: [...new Set(targets.map((target) => target.gateway))],
      waves: [...new Set(targets.map((target) => target.wave))],
      outcomes: countOutcomes(),
      whole: targets.length,
    };
    return { page, detail, facets, sorts: ["plan", "id", "wave", "attempts", "seconds"] };
  };

  const begin = async () => {
    const waiting = document.getElementById("unpacking");
    let data;
    try {
      data = await readTargets();
    } catch {
      waiting.textContent = OLD_BROWSER;
      waiting.hidden = false;
      return;
    }
    const source = buildSource(data);
    document.documentElement.classList.add("scripted");
    TargetTable.mount(document.getElementById("target-list"), source, { search: "search", whole: data.rows.length })
      .setFacets(source.facets);
  };

  begin();
})();
