// A wall: nobody can scroll it, so all that it shows must fit its screen.

import { byId, setText, show } from "./dom.js";

// From the first on: smaller type before gateways in trouble are left out, and all others are left out before that.
const SCALES = [1, 0.88, 0.76, 0.64, 0.52, 0.4];
const ROW = 3;
const root = document.documentElement;

const isOver = () => root.scrollHeight > innerHeight;

const isInTrouble = (lane) => lane.state_words !== "done" && ["closed", "parked", "paused"].includes(lane.state);

// Show the first gateways, and tell how many more there are.
const showFirst = (cards, number, whole) => {
  cards.forEach((card, place) => show(card, place < number));
  setText(byId("gateways-left-out"), whole > number ? `and ${Parts.count(whole - number)} more` : "");
  show(byId("gateways-left-out"), whole > number);
};

const leaveOut = (cards, least, whole) => {
  let number = cards.length;
  do showFirst(cards, number, whole);
  while (isOver() && --number >= Math.max(least, 1));
};

export const fitWall = (state) => {
  const cards = [...byId("list-of-gateways").children];
  if (!document.body.classList.contains("wall")) {
    showFirst(cards, cards.length, cards.length);
    root.style.removeProperty("--wall-scale");
    return;
  }
  const lanes = state.lanes || [];
  const whole = lanes.length + (state.lanes_left_out || 0);
  const least = Math.min(cards.length, Math.max(ROW, lanes.filter(isInTrouble).length));
  for (const scale of SCALES) {
    root.style.setProperty("--wall-scale", scale);
    leaveOut(cards, scale === SCALES.at(-1) ? 1 : least, whole);
    if (!isOver()) return;
  }
};
