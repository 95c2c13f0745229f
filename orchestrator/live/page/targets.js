// The targets, page by page out of the run's journal, in the table of the report.

import { byId, isConnected } from "./dom.js";

const QUIET = 3000;
let table = null;
let counted = "";
let named = "";
let timer = null;
let isNear = false;
let isOld = false;

const ask = async (path, query) => {
  const reply = await fetch(`${path}?${new URLSearchParams(query)}`, { cache: "no-store", signal: AbortSignal.timeout(10000) });
  if (!reply.ok) throw new Error(String(reply.status));
  return reply.json();
};

const source = {
  sorts: [],
  page: async (filter, after, n) => {
    const query = { n };
    if (filter.q) query.filter = filter.q;
    if (filter.outcomes.length) query.outcome = filter.outcomes.join(",");
    if (filter.gateway) query.gateway = filter.gateway;
    if (filter.wave) query.wave = filter.wave;
    if (after) query.after = after;
    const page = await ask("targets", query);
    return { ...page, rows: page.rows.map((row) => ({ ...row, outcome: row.outcome ?? "open" })) };
  },
  detail: (id) => ask("target", { id }),
};

const readFacets = (state) => {
  const { targets, ended: _, ...counts } = state.verdict.counts;
  const known = Object.values(counts).reduce((sum, count) => sum + count, 0);
  return {
    gateways: (state.lanes || []).map((lane) => lane.name),
    waves: (state.waves || []).map((wave) => wave.name),
    outcomes: { ...counts, open: targets - known },
    whole: targets,
  };
};

// A list that nobody sees is asked for once it is scrolled to; all pages of it come out of the run's journal.
const tell = (isLast = false) => {
  clearTimeout(timer);
  timer = null;
  isOld = document.hidden || !(isNear || isLast);
  if (!isOld && isConnected()) table.noteChange();
};

export const watchTargets = () => {
  new IntersectionObserver(([entry]) => {
    isNear = entry.isIntersecting;
    if (isNear && isOld && table) tell();
  }, { rootMargin: "400px 0px" }).observe(byId("targets"));
  document.addEventListener("visibilitychange", () => {
    if (isNear && isOld && table) tell();
  });
};

export const drawTargets = (state) => {
  const facets = readFacets(state);
  const now = JSON.stringify(facets);
  if (now === counted) return;
  counted = now;
  table ??= TargetTable.mount(byId("target-browser"), source, { search: "search", whole: facets.whole });
  const names = JSON.stringify([facets.gateways, facets.waves]);
  table.setFacets(names === named ? { outcomes: facets.outcomes, whole: facets.whole } : facets);
  named = names;
  // The list itself is asked for again at most every few seconds, and not while somebody reads it. After the end
  // the server leaves soon.
  if (state.ended) tell(true);
  else timer ??= setTimeout(tell, QUIET);
};
