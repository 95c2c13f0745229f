// Numbers and times as people read them. Every instant is shown in the zone of the run: the sentences that come
// from the run hold its clock times, and all who look at the page must read the same ones.

// The order of bars and legends: what is as wanted comes first.
export const OUTCOMES = ["undeployed", "restored", "already_undeployed", "already_deployed", "failed", "unknown", "not_started"];

export const TROUBLE = ["failed", "unknown", "not_started"];

let offset = 0;
// In the days around a change of that clock: [from, offset] of each, the earliest first.
let offsets = [];

export const setOffset = (seconds, near) => {
  offset = Number.isFinite(seconds) ? seconds : 0;
  offsets = near ?? [];
};

const findOffset = (at) => (offsets.findLast(([from]) => from <= at) ?? offsets[0] ?? [at, offset])[1];

const shift = (at) => new Date((at + findOffset(at)) * 1000).toISOString();

export const clock = (at) => (Number.isFinite(at) ? shift(at).slice(11, 19) : "–");

export const moment = (at) => (Number.isFinite(at) ? shift(at).slice(0, 19).replace("T", " ") : "–");

// The full minute by which something will be done: a forecast must not promise too much.
export const minute = (at) => (Number.isFinite(at) ? shift(Math.ceil(at / 60) * 60).slice(11, 16) : "–");

const two = (number) => String(number).padStart(2, "0");

export const zone = (seconds = offset) => {
  const minutes = Math.abs(Math.round(seconds / 60));
  return minutes ? `UTC${seconds < 0 ? "−" : "+"}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}` : "UTC";
};

// Whether and when the clock of the run is changed, in words.
export const clockChange = () =>
  offsets.slice(1).map(([from, seconds]) => `; that clock is ${zone(seconds)} from ${moment(from)} on`).join("");

export const plural = (number, noun) => `${Parts.count(number)} ${noun}${number === 1 ? "" : "s"}`;

export const perSecond = (rate) => (Number.isFinite(rate) ? `${rate.toFixed(1)}/s` : "–");

export const bound = (rate) => `${rate.toFixed(rate >= 10 ? 0 : 1)}/s`;

// "6 failed · 2 unknown": what nobody wanted.
export const troubleWords = (counts) =>
  TROUBLE.filter((outcome) => counts?.[outcome])
    .map((outcome) => `${Parts.count(counts[outcome])} ${Parts.nameOutcome(outcome)}`);
