// The live page of a run. The state comes from the server (see stream.js); each zone draws the keys that it shows.

import { drawCauses } from "./causes.js";
import { drawCharts, watchCharts } from "./charts.js";
import { byId, forgetItems, setLink, setText } from "./dom.js";
import { drawGateways, offerGateways } from "./gateways.js";
import { drawSteering, keepFocus, offerActs, openSession, readSession } from "./steering.js";
import { Stream } from "./stream.js";
import { drawTargets, watchTargets } from "./targets.js";
import { drawEnd, drawFreshness, drawQuestion, drawTab, drawVerdict, drawWarnings } from "./verdict.js";
import { fitWall } from "./wall.js";
import { drawHeadroom, drawWaves, offerWaves } from "./waves.js";
import { clockChange, moment, setOffset, zone } from "./words.js";

const drawFacts = ({ run }) => {
  const facts = [`Run ${run.id}`, run.session > 1 ? `session ${run.session}` : "", `begun ${moment(run.started)}`];
  if (run.closes) facts.push(`closes ${moment(run.closes)}`);
  facts.push(run.approval && `approved: ${run.approval}`, run.protect);
  setText(byId("zone"), `Times are ${zone()}, as where the run works${clockChange()}.`);
  // A run that has told nothing yet has no id, and began at no time.
  setText(byId("facts"), run.id ? `${facts.filter(Boolean).join("; ")}.` : "");
};

const ZONES = [
  [["run"], drawFacts],
  [["run", "verdict"], drawVerdict],
  [["question"], drawQuestion],
  [["ended", "report"], drawEnd],
  [["warnings", "unrestorable"], drawWarnings],
  [["waves", "waves_left_out"], drawWaves],
  [["headroom"], drawHeadroom],
  [["lanes", "lanes_left_out"], drawGateways],
  [["causes"], drawCauses],
  [["charts"], drawCharts],
  [["controls", "verdict", "ended"], drawSteering],
  [["verdict", "lanes", "waves"], drawTargets],
];

let pending = new Set();
let isPlanned = false;

const draw = () => {
  isPlanned = false;
  const keys = pending;
  pending = new Set();
  // Kept would be an entry a tick, for as long as the page is open.
  performance.clearMeasures("tick");
  performance.clearMarks("tick-begins");
  performance.mark("tick-begins");
  const isWall = document.body.classList.contains("wall"), focused = document.activeElement;
  for (const [needs, drawZone] of ZONES)
    if (needs.some((key) => keys.has(key)) && !(isWall && drawZone === drawTargets)) drawZone(stream.state);
  fitWall(stream.state);
  keepFocus(focused);
  performance.measure("tick", "tick-begins");
  if (document.body.classList.contains("waits-for-first")) begin();
};

const plan = (keys) => {
  for (const key of keys) pending.add(key);
  if (isPlanned) return;
  isPlanned = true;
  requestAnimationFrame(draw);
};

const change = (state, keys) => {
  setOffset(state.run.utc_offset, state.run.utc_offsets);
  // A tab that nobody sees draws its title and icon alone; the rest once it is looked at.
  if (document.hidden) drawTab(state);
  plan(keys);
};

// An address that was cut, or typed, may end within an escape.
const readFragment = () => {
  const text = location.hash.slice(1);
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
};

// The places that a link leads to are there only now.
const begin = () => {
  document.body.classList.remove("waits-for-first");
  layStrip();
  const id = readFragment();
  if (id && id !== "wall") byId(id)?.scrollIntoView();
};

const readHash = () => {
  const isWall = location.hash === "#wall";
  if (document.body.classList.contains("wall") === isWall) return;
  document.body.classList.toggle("wall", isWall);
  forgetItems();
  for (const link of document.querySelectorAll("h2 > a")) setLink(link, `#${link.closest("section").id}`);
  if (stream.state) plan(Object.keys(stream.state));
};

// What is scrolled to ends below the strip.
const layStrip = () => document.documentElement.style.setProperty("--strip", `${byId("verdict").offsetHeight}px`);

const measureStrip = () => new ResizeObserver(layStrip).observe(byId("verdict"));

const stream = new Stream(change, (word) => drawFreshness(word, stream.state));

const start = async () => {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  readHash();
  addEventListener("hashchange", readHash);
  addEventListener("resize", () => stream.state && fitWall(stream.state));
  measureStrip();
  offerActs();
  offerWaves(() => plan(["waves"]));
  offerGateways(() => plan(["lanes"]));
  watchCharts();
  watchTargets();
  try {
    if (token) await openSession(token);
    await readSession();
  } catch {
    // Without the server there is no session; the stream tells that it is not there.
  }
  stream.start();
};

start();
