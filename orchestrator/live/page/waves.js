// The waves: one track for all of them, and below it those that matter now.

import { drawBar, drawParts, findBar, layOut } from "./bars.js";
import { ShowAll, byId, clone, makeSvg, setAttribute, setClass, setLink, setText, show, syncList } from "./dom.js";
import { minute, plural, troubleWords } from "./words.js";

// More waves than these are not all listed: then the one that goes on, its neighbours, and the worst.
const MANY = 8;
const WORST = 3;
// Percents of the track.
const GAP = 0.4;
const NARROWEST = 0.8;
const showAll = new ShowAll("waves-more", "waves", MANY);

// Where each wave stands on the track: as wide as it is large, and never too narrow to be seen.
const placeWaves = (waves) => {
  const total = waves.reduce((sum, wave) => sum + wave.total, 0) || 1;
  const spare = 100 - (GAP + NARROWEST) * waves.length + GAP;
  let at = 0;
  return waves.map((wave) => {
    const place = [at, NARROWEST + (Math.max(0, spare) * wave.total) / total];
    at += place[1] + GAP;
    return place;
  });
};

const drawTrack = (waves) => {
  const svg = findBar(byId("track"));
  const places = placeWaves(waves);
  setAttribute(svg, "class", "bar track-bar");
  const ended = waves.filter((wave) => wave.state === "ended").length;
  setAttribute(svg, "aria-label", `${plural(ended, "wave")} of ${waves.length} ended`);
  drawParts(svg, waves.flatMap((wave, index) => layOut(wave.counts, wave.total, places[index][1], places[index][0])));
  const now = waves.findIndex((wave) => wave.state === "going");
  drawMark(now < 0 ? null : places[now]);
};

const drawMark = (place) => {
  const track = byId("track");
  if (track.childElementCount < 2)
    track.append(makeSvg("svg", { class: "track-mark", "aria-hidden": "true" }));
  const svg = track.lastElementChild;
  if (!svg.firstElementChild) svg.append(makeSvg("rect", { height: "100%" }));
  setAttribute(svg.firstElementChild, "x", `${place ? place[0] : 0}%`);
  setAttribute(svg.firstElementChild, "width", `${place ? place[1] : 0}%`);
};

const pause = (seconds) => Parts.duration(seconds).replace(/\.0+ s$/, " s").replace(/ 00 s$/, "");

const describeNote = (wave) => {
  const notes = [wave.state === "going" ? "going on" : wave.state];
  if (wave.step) notes.push(`step ${wave.step} of ${wave.steps}`);
  if (wave.state !== "ended" && Number.isFinite(wave.done_by)) notes.push(`done by ${minute(wave.done_by)}`);
  if (wave.pause_after && wave.state !== "ended") notes.push(`then a pause of ${pause(wave.pause_after)}`);
  if (wave.asks && wave.state !== "ended") notes.push("then asks");
  return notes.join(" · ");
};

const updateWave = (slots, wave) => {
  const trouble = troubleWords(wave.counts);
  setClass(slots.root, `wave wave-${wave.state.replaceAll(" ", "-")}`);
  setAttribute(slots.root, "id", `wave-${wave.name}`);
  setAttribute(slots.root, "aria-current", wave.state === "going" ? "step" : null);
  setLink(slots.link, Parts.linkTargets({ wave: wave.name }));
  setText(slots.number, wave.number ?? "");
  setText(slots.name, wave.name);
  drawBar(slots.bar, wave.counts, wave.total);
  setText(slots.count, [`${Parts.count(wave.ended)} of ${Parts.count(wave.total)}`, ...trouble].join(" · "));
  setText(slots.note, describeNote(wave));
};

const choose = (waves) => {
  if (showAll.isOn || waves.length <= MANY) return waves;
  const found = waves.findIndex((wave) => wave.state === "going");
  const now = found < 0 ? waves.findLastIndex((wave) => wave.state === "ended") : found;
  const near = waves.filter((wave, index) => Math.abs(index - now) <= 1);
  const trouble = (wave) => (wave.counts.failed || 0) + (wave.counts.unknown || 0);
  const ill = waves.filter((wave) => !near.includes(wave) && trouble(wave)).sort((one, other) => trouble(other) - trouble(one));
  const chosen = new Set([...near, ...ill.slice(0, WORST)]);
  return waves.filter((wave) => chosen.has(wave));
};

export const drawWaves = (state) => {
  const waves = state.waves || [];
  const shown = choose(waves);
  // Of very many waves only those around the present one are told of: all before them have ended.
  const ended = waves.filter((wave) => wave.state === "ended").length + (waves[0]?.number ?? 1) - 1;
  setText(byId("waves-words"), waves.length > 1 ? `${ended} of ${waves.length + (state.waves_left_out || 0)} ended` : "");
  show(byId("waves"), waves.length);
  show(byId("track"), waves.length > 1);
  drawTrack(waves);
  syncList(byId("list-of-waves"), shown, () => clone("template-of-wave"), updateWave);
  showAll.draw(waves.length);
  if (state.waves_left_out) setAttribute(byId("waves-more"), "title", `${state.waves_left_out} more are not told of here`);
};

export const drawHeadroom = (state) => {
  const rules = (state.headroom || []).map((rule) => ({ ...rule, key: rule.text }));
  syncList(byId("headroom"), rules, () => ({ root: Parts.make("li") }), (slots, rule) => {
    setText(slots.root, rule.text);
    setClass(slots.root, rule.near ? "near" : "");
  });
  show(byId("headroom"), rules.length);
};

export const offerWaves = (redraw) => showAll.offer(redraw);
