// Bars of outcomes as SVG: their lengths are attributes, which the page's policy allows, unlike inline styles.

import { makeSvg, setAttribute } from "./dom.js";
import { OUTCOMES } from "./words.js";

// Percents of the bar. One failure of ten thousand must be seen, and so must the one target that has not ended.
const WIDTH = 100;
const LEAST = 0.6;

// The parts of `counts` and what is left of `total`, side by side: [outcome, at, size].
export const layOut = (counts, total, width = WIDTH, start = 0) => {
  const parts = OUTCOMES.map((outcome) => [outcome, counts?.[outcome] || 0]);
  const ended = parts.reduce((sum, [, number]) => sum + number, 0);
  const whole = Math.max(total, ended);
  parts.push(["open", whole - ended]);
  const present = parts.filter(([, number]) => number);
  const least = Math.min(LEAST, width / present.length / 3);
  const spare = width - least * present.length;
  let at = start;
  return present.map(([outcome, number]) => {
    const size = least + (spare * number) / whole;
    at += size;
    return [outcome, at - size, size];
  });
};

export const describe = (counts, total) => {
  const parts = OUTCOMES.filter((outcome) => counts?.[outcome])
    .map((outcome) => `${Parts.count(counts[outcome])} ${Parts.nameOutcome(outcome)}`);
  return `${parts.join(", ") || "none ended"}, of ${Parts.count(total)}`;
};

export const drawParts = (svg, parts) => {
  while (svg.childElementCount > parts.length) svg.lastElementChild.remove();
  while (svg.childElementCount < parts.length) svg.append(makeSvg("rect", { height: "100%" }));
  for (const [index, [outcome, at, size]] of parts.entries()) {
    const rect = svg.children[index];
    setAttribute(rect, "class", `fill-${outcome}`);
    setAttribute(rect, "x", `${at.toFixed(2)}%`);
    setAttribute(rect, "width", `${size.toFixed(2)}%`);
  }
};

// The bar in `place`, made at first need.
export const findBar = (place) => {
  if (!place.firstElementChild)
    place.append(makeSvg("svg", { class: "bar", role: "img" }));
  return place.firstElementChild;
};

export const drawBar = (place, counts, total) => {
  const svg = findBar(place);
  setAttribute(svg, "aria-label", describe(counts, total));
  drawParts(svg, layOut(counts, total));
};
