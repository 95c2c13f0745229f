// The gateways: one card a lane. Of many, and on a wall, those that do not work stand first.

import { drawBar } from "./bars.js";
import { ShowAll, byId, clone, setAttribute, setClass, setLink, setText, show, showText, syncList } from "./dom.js";
import { bound, clock, minute, perSecond, plural, troubleWords } from "./words.js";

const MANY = 6;
// More cards than these are not all shown at first.
const MOST = 9;
const showAll = new ShowAll("gateways-more", "gateways", MOST);
const RANK = { closed: 0, parked: 0, paused: 1, open: 2 };
const IDLE = 3;
const DONE = 4;

const isDone = (lane) => lane.state_words === "done";

const rank = (lane) => {
  if (isDone(lane)) return DONE;
  if (lane.state_words === "stopped") return IDLE;
  return lane.state === "open" && !lane.in_flight ? IDLE : RANK[lane.state] ?? RANK.open;
};

const sort = (lanes) => {
  // Nobody can scroll a wall: what matters most must be in the first row.
  if (lanes.length <= MANY && !document.body.classList.contains("wall")) return lanes;
  return [...lanes].sort((one, other) => rank(one) - rank(other));
};

const host = (url) => {
  try {
    return new URL(url).host || url;
  } catch {
    return url;
  }
};

const describeTimes = (lane) => {
  if (lane.given_up) return "given up until a resume";
  const times = [];
  if (lane.until) times.push(`goes on ${clock(lane.until)}`);
  if (lane.probe_at) times.push(`next probe ${clock(lane.probe_at)}`);
  if (lane.gives_up_at) times.push(`gives up ${clock(lane.gives_up_at)}`);
  return times.join(" · ");
};

// "parked: HTTP 503": the word goes into the corner of the card, the reason into its text.
const splitState = (lane) => {
  const [word, ...rest] = lane.state_words.split(": ");
  const reason = (lane.state !== "open" && lane.reason) || rest.join(": "), prefix = `${lane.state}: `;
  return [word, reason.startsWith(prefix) ? reason.slice(prefix.length) : reason];
};

const describeNotes = (lane, why) => {
  const notes = [];
  if (lane.list_asked) notes.push(`asks for ${lane.list_asked}`);
  if (lane.repeating) notes.push(`${plural(lane.repeating, "target")} will be repeated`);
  if (lane.fault && !why.includes(lane.fault)) notes.push(`last reply: ${lane.fault}`);
  if (lane.warning) notes.push(lane.warning);
  return notes.join(" · ");
};

const updateLane = (slots, lane) => {
  const state = isDone(lane) ? "done" : lane.state;
  const [word, why] = splitState(lane);
  const isOver = isDone(lane) || lane.state_words === "stopped" || lane.state === "closed" || lane.given_up;
  setClass(slots.root, `gateway lane-edge-${state}`);
  setAttribute(slots.root, "id", `gateway-${lane.name}`);
  setLink(slots.link, Parts.linkTargets({ gateway: lane.name }));
  setText(slots.name, lane.name);
  setText(slots.state, word);
  setClass(slots.state, `lane lane-${state}`);
  setText(slots.kind, lane.kind);
  setText(slots.host, host(lane.url));
  drawBar(slots.bar, lane.counts, lane.total);
  const ended = `${Parts.count(lane.ended)} of ${Parts.count(lane.total)} ended`;
  setText(slots.count, [ended, ...troubleWords(lane.counts)].join(" · "));
  setText(slots.flight, Parts.count(lane.in_flight));
  setText(slots.limit, Number.isFinite(lane.limit) && !isOver ? `of ${Parts.count(lane.limit)}` : "");
  const isStill = isOver || lane.state === "parked";
  setText(slots.rate, isStill ? "–" : perSecond(lane.rate));
  setText(slots.bound, Number.isFinite(lane.bound) && !isStill ? `of ${bound(lane.bound)}` : "");
  setText(slots.refused, Parts.count(lane.refused || 0));
  setClass(slots.refused, lane.refused ? "" : "none");
  // A parked lane has no end that could be foreseen.
  setText(slots.done, isStill ? "–" : minute(lane.done_by));
  showText(slots.why, [why, describeTimes(lane)].filter(Boolean).join(" · "));
  showText(slots.note, describeNotes(lane, why));
  slots.limits.dataset.gateway = lane.name;
  slots.limits.dataset.idle = isOver ? "yes" : "";
  setAttribute(slots.limits, "aria-label", `Limits of ${Parts.visible(lane.name)}…`);
};

const create = () => clone("template-of-gateway");

export const drawGateways = (state) => {
  const lanes = state.lanes || [];
  const ill = lanes.filter((lane) => !isDone(lane) && (lane.state === "parked" || lane.state === "closed")).length;
  const whole = lanes.length + (state.lanes_left_out || 0);
  const words = `${Parts.count(ill)} of ${Parts.count(whole)} ${ill === 1 ? "does" : "do"} not work`;
  setText(byId("gateways-words"), ill ? words : "");
  show(byId("gateways"), whole);
  const sorted = sort(lanes);
  syncList(byId("list-of-gateways"), showAll.isOn ? sorted : sorted.slice(0, MOST), create, updateLane);
  showAll.draw(lanes.length);
};

export const offerGateways = (redraw) => showAll.offer(redraw);
