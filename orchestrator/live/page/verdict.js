// The strip at the top: what is done, to what, how it stands, until when, and how fresh that is.

import { drawBar } from "./bars.js";
import { byId, setAttribute, setClass, setRich, setText, show, syncList } from "./dom.js";
import { OUTCOMES, clock, zone } from "./words.js";

const TONES = { going: "#1f5f96", waiting: "#b06f00", bad: "#c0302a", good: "#1f6e54", over: "#6a727c" };
// One shape a tone, so that the icon of a tab tells without its colour.
const SHAPES = {
  going: "M5 3l8 5-8 5z",
  waiting: "M4 3h3v10H4zM9 3h3v10H9z",
  bad: "M4.2 3L8 6.8 11.8 3 13 4.2 9.2 8l3.8 3.8-1.2 1.2L8 9.2 4.2 13 3 11.8 6.8 8 3 4.2z",
  good: "M3 8.4l1.4-1.4L7 9.6 12 4l1.4 1.4L7 12.6z",
  over: "M4 4h8v8H4z",
  lost: "M7 3h2v6H7zM7 11h2v2H7z",
};

let announced = "";
let announcedAt = -Infinity;
const QUIET = 15000;

export const drawVerdict = (state) => {
  const { run, verdict } = state;
  const kind = run.rehearsal ? "rehearsal" : run.act;
  setText(byId("act"), run.act_words);
  setClass(byId("act"), `act act-${kind}`);
  setText(byId("plan"), run.plan);
  setText(byId("reason"), run.reason);
  drawHeadline(verdict.headline);
  setText(byId("state"), verdict.state);
  setClass(byId("state"), `state tone-${verdict.tone}`);
  setRich(byId("sentence"), verdict.sentence === verdict.state ? "" : verdict.sentence);
  setText(byId("done-by"), verdict.done_by);
  setText(byId("against-close"), verdict.against_close);
  setClass(byId("against-close"), verdict.is_late ? "fit fit-bad" : "fit");
  // Before the end the line keeps its place, so that nothing below it moves.
  show(byId("ends"), !state.ended || verdict.done_by || verdict.against_close);
  setClass(byId("verdict"), `strip edge-${verdict.tone}`);
  drawBar(byId("strip-bar"), verdict.counts, verdict.counts.targets);
  drawLegend(verdict.counts);
  drawTab(state);
  announce(verdict);
};

// A number and its word stay together where the line breaks, unless the two are wider than the window; the dot that
// parts two of them never begins a line.
const drawHeadline = (text) => {
  const parts = text.split(" · ").map((part, key) => ({ key: String(key), part }));
  const last = parts.length - 1;
  syncList(byId("headline"), parts, () => ({ root: Parts.make("span") }), (slots, { key, part }) =>
    setText(slots.root, Number(key) < last ? `${part}\u00a0· ` : part));
};

const drawLegend = (counts) => {
  const items = OUTCOMES.filter((outcome) => counts[outcome]).map((key) => ({ key, number: counts[key] }));
  const open = counts.targets - items.reduce((sum, { number }) => sum + number, 0);
  if (open > 0) items.push({ key: "open", number: open });
  syncList(byId("legend"), items, createEntry, (slots, item) => setText(slots.number, Parts.count(item.number)));
};

const createEntry = ({ key }) => {
  const sign = Parts.make("span", `key fill-${key}`);
  sign.setAttribute("aria-hidden", "true");
  const number = Parts.make("b");
  return { root: Parts.make("li", "", sign, number, ` ${Parts.nameOutcome(key)}`), number };
};

// The title and the icon of the tab: a tab in the background tells whether to look at it.
let icon = "";

export const drawTab = ({ run, verdict }, isLost = false) => {
  const title = `${isLost ? "lost: " : ""}${Parts.visible(verdict.headline)} – ${verdict.state} – ${Parts.visible(run.plan)}`;
  if (document.title !== title) document.title = title;
  const tone = isLost ? "lost" : verdict.tone;
  if (tone === icon) return;
  icon = tone;
  const colour = TONES[tone] || TONES.over;
  const shape = SHAPES[tone] || SHAPES.over;
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">
<rect width="16" height="16" rx="3" fill="${colour}"/><path fill="#fff" d="${shape}"/></svg>`;
  setAttribute(byId("icon"), "href", `data:image/svg+xml,${encodeURIComponent(svg)}`);
};

// Read out what changes: a new state at once, numbers four times a minute at most.
const announce = (verdict) => {
  const now = performance.now();
  const state = `${verdict.state}: ${verdict.sentence}`;
  if (state === announced && now - announcedAt < QUIET) return;
  if (state !== announced && now - announcedAt < QUIET && announced.startsWith(`${verdict.state}:`)) return;
  announced = state;
  announcedAt = now;
  setText(byId("announcer"), `${verdict.state}. ${verdict.headline}. ${verdict.sentence}. ${verdict.done_by}`);
};

const FRESH = {
  live: ({ at }) => `live · ${clock(at)}`,
  lost: ({ at }) => (Number.isFinite(at) ? `connection lost; last known ${clock(at)}` : "no connection yet"),
  over: ({ at }) => `the end, ${clock(at)}`,
  gone: ({ at }) => `the end, ${clock(at)}; the run has left`,
  refused: ({ text }) => text,
};

export const drawFreshness = (word, state) => {
  setText(byId("freshness"), FRESH[word.kind](word));
  setText(byId("strip-zone"), Number.isFinite(word.at) ? zone() : "");
  if (document.body.dataset.fresh === word.kind) return;
  const isLost = word.kind === "lost" || word.kind === "refused";
  document.body.dataset.fresh = word.kind;
  document.body.classList.toggle("lost", isLost);
  if (isLost) setText(byId("announcer"), FRESH[word.kind](word));
  if (state) drawTab(state, isLost);
  else if (isLost) setText(byId("headline"), "The run cannot be read");
};

const MOST_WARNINGS = 6;

export const drawWarnings = (state) => {
  const warnings = state.warnings || [];
  const lines = warnings.slice(-MOST_WARNINGS).map((text, place) => ({ key: `${place} ${text}`, text }));
  const earlier = warnings.length - lines.length;
  if (earlier > 0) lines.unshift({ key: "earlier", text: `${earlier} warnings before these; the report has all of them` });
  const lost = state.unrestorable && Parts.countTargets(state.unrestorable);
  if (lost) lines.unshift({ key: "lost", text: `${lost} went down, or may have, without a snapshot that brings them back` });
  syncList(byId("warnings"), lines, () => ({ root: Parts.make("li") }), (slots, item) => setText(slots.root, item.text));
  show(byId("warnings"), lines.length);
};

const ENDS = {
  complete: "The run has come to its end",
  stopped: "The run was stopped",
  interrupted: "The run was interrupted",
};

export const drawEnd = (state) => {
  const { ended } = state;
  show(byId("ended"), ended);
  if (!ended) return;
  setText(byId("ended-title"), ENDS[ended.state] || ENDS.complete);
  setText(byId("ended-words"), `It ended at ${clock(ended.at)}, with exit status ${ended.exit_status}.`);
  setText(byId("ended-folder"), ended.reports);
  show(byId("ended-reports"), ended.reports);
  setAttribute(byId("ended-report"), "href", state.report || "report");
  show(byId("ended-report"), state.report);
};

export const drawQuestion = (state) => {
  setRich(byId("question-text"), state.question);
  show(byId("question"), state.question);
};
