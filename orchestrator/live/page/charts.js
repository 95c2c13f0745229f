// The charts over time, which the server draws: the same pictures as in the report.

import { byId, isConnected } from "./dom.js";

const EVERY = 2000;
let drawn = -1;
let wanted = 0;
let isSeen = false;
let isBusy = false;
let next = 0;

// A picture without script: the server escapes names, and the page's policy runs nothing that stands in a document.
const read = (html) => [...new DOMParser().parseFromString(html, "text/html").body.children];

const load = async () => {
  if (!isSeen || isBusy || wanted === drawn || document.hidden || !isConnected() || performance.now() < next) return;
  isBusy = true;
  next = performance.now() + EVERY;
  const mine = wanted;
  try {
    const reply = await fetch("charts", { cache: "no-store" });
    if (reply.status === 200) byId("charts").replaceChildren(...read(await reply.text()));
    if (reply.ok) drawn = mine;
  } catch {
    // The strip says that the connection is lost; the next change asks again.
  } finally {
    isBusy = false;
  }
};

export const drawCharts = (state) => {
  wanted = state.charts ?? 0;
  // The server leaves soon after the end.
  if (state.ended) next = 0;
  load();
};

export const watchCharts = () => {
  new IntersectionObserver(([entry]) => {
    isSeen = entry.isIntersecting;
    load();
  }, { rootMargin: "300px 0px" }).observe(byId("time"));
  setInterval(load, EVERY);
};
