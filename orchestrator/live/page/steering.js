// The acts: each shows its effect first, as the run itself foretells it; the grave ones want a typed word.

import { byId, setRich, setText, show, showText, syncList } from "./dom.js";
import { clock } from "./words.js";

const ACTS = {
  pause: { title: "Pause the run", submit: "Pause", fields: [] },
  continue: { title: "Go on with the run", submit: "Go on", fields: [] },
  stop: { title: "Stop the run", submit: "Stop the run", fields: [] },
  skip: {
    title: "Skip targets", submit: "Skip them", fields: ["pattern"],
    intro: "Targets that match and were not touched yet are passed over. * stays inside one part of an id, ** crosses parts.",
  },
  limits: {
    title: "Limits of a gateway", submit: "Put in force", fields: ["gateway", "concurrency", "rate", "unbounded"],
    intro: "From now on, until the run ends. What is left empty stays as it is.",
  },
};

let mayAct = false;
let state = null;
let open = null;

export const readSession = async () => {
  const reply = await fetch("session", { cache: "no-store" });
  const session = await reply.json();
  mayAct = Boolean(session.may_act);
  drawSession(session.text);
};

const post = (path, body) => fetch(path, {
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify(body),
  signal: AbortSignal.timeout(15000),
});

// The token is used once: it leaves the address bar and the history before it is sent.
export const openSession = async (token) => {
  history.replaceState(null, "", location.pathname + location.search);
  const reply = await post("session", { token });
  if (reply.ok) return;
  setRich(byId("session-note"), (await reply.json()).error);
  show(byId("session-note"), true);
};

const findAll = (selector) => [...document.querySelectorAll(selector)];

const drawSession = (how) => {
  for (const element of findAll("[data-needs-no-session]")) setRich(element, mayAct ? "" : how);
  drawActs();
};

// Only the acts that make sense now are offered.
const isOffered = (act) => {
  if (!mayAct || !state || state.ended) return false;
  const now = state.verdict.state;
  if (act === "pause") return now !== "paused" && now !== "stopping" && !state.question;
  if (act === "continue") return now === "paused" || now === "waiting";
  return now !== "stopping";
};

const isVisible = (element) => element.offsetParent !== null || getComputedStyle(element).position === "fixed";

// After a pause “Continue” stands where “Pause” was: the focus goes there, and not to the top of the page. After a
// stop there is no act left: it goes to what became of the last one.
const moveFocus = (from) => {
  const near = [...(from.closest(".acts")?.querySelectorAll("button[data-act]") || [])];
  const next = [...near, ...findAll("button[data-act]")].find((button) => !button.hidden && isVisible(button));
  (next ?? byId("result")).focus();
};

// `focused` had the focus before the page was drawn; an act that is no longer offered has lost it.
export const keepFocus = (focused) => {
  if (focused?.dataset?.act && !isVisible(focused)) moveFocus(focused);
};

const drawActs = () => {
  const isLive = mayAct && state && !state.ended;
  for (const element of findAll("[data-needs-session]")) show(element, isLive);
  for (const element of findAll("[data-needs-no-session]")) show(element, !isLive && !state?.ended && element.textContent);
  for (const button of findAll("button[data-act]")) show(button, isOffered(button.dataset.act) && !button.dataset.idle);
  const offersAny = Boolean(isLive && byId("acts").querySelector("button:not([hidden])"));
  show(byId("acts"), offersAny);
  document.body.classList.toggle("may-act", offersAny);
};

export const drawSteering = (next) => {
  state = next;
  drawActs();
  const keep = (control) => ({ ...control, key: `${control.at} ${control.act} ${control.by}` });
  const controls = (state.controls || []).map(keep).reverse();
  syncList(byId("control-list"), controls, createControl, updateControl);
};

const createControl = () => {
  const time = Parts.make("time"), act = Parts.make("b", "code"), by = Parts.make("bdi"), origin = Parts.make("bdi", "quiet");
  return { root: Parts.make("li", "", time, act, Parts.make("span", "by", by, " ", origin)), time, act, by, origin };
};

const updateControl = (slots, control) => {
  setText(slots.time, clock(control.at));
  setText(slots.act, control.act);
  setText(slots.by, control.by);
  setText(slots.origin, control.origin);
};

// What the fields of the dialog say, in the words of the control socket.
const readCommand = () => {
  const form = byId("dialog-form").elements;
  const command = { act: open.act };
  if (open.act === "skip") command.pattern = form.pattern.value.trim();
  if (open.act === "limits") {
    command.gateway = form.gateway.value;
    if (form.concurrency.value) command.concurrency = Number(form.concurrency.value);
    if (form.unbounded.checked) command.unbounded = true;
    else if (form.rate.value) command.rate = Number(form.rate.value);
  }
  return command;
};

const send = async (command) => {
  try {
    const reply = await post("control", command);
    const answer = await reply.json();
    return reply.ok ? answer : { refused: answer.error || answer.text || `refused (${reply.status})` };
  } catch {
    return { refused: "The run did not answer: nobody knows whether it took this. Look at “Steered by hand”." };
  }
};

const fillGateways = (chosen) => {
  const field = byId("dialog-form").elements.gateway;
  field.replaceChildren(...(state.lanes || []).map((lane) => {
    const option = Parts.make("option", "", Parts.visible(lane.name));
    option.value = lane.name;
    return option;
  }));
  if (chosen) field.value = chosen;
};

// A dialog has two stages: its fields, then the effect and, for a grave act, the word to be typed.
const drawStage = () => {
  const act = ACTS[open.act];
  const wantsWord = open.effect && open.effect.typed;
  const effect = open.effect ? open.effect.text : open.isBusy ? "Asking the run …" : "";
  setRich(byId("dialog-effect"), effect);
  show(byId("dialog-effect"), effect);
  show(byId("dialog-typed"), wantsWord);
  setText(byId("dialog-typed").firstElementChild, wantsWord ? `Type “${open.effect.typed}” to confirm` : "");
  const submit = byId("dialog-submit");
  setText(submit, open.effect || !act.fields.length ? act.submit : "Show the effect");
  submit.classList.toggle("grave", Boolean(wantsWord));
  const typed = byId("dialog-form").elements.typed.value.trim();
  submit.disabled = Boolean(open.isBusy || (!open.effect && !act.fields.length) || (wantsWord && typed !== open.effect.typed));
};

const refuse = (text) => {
  setRich(byId("dialog-refusal"), text);
  show(byId("dialog-refusal"), text);
};

const foretell = async () => {
  const mine = open;
  Object.assign(open, { isBusy: true, effect: null });
  refuse("");
  drawStage();
  const answer = await send({ ...readCommand(), preview: true });
  if (mine !== open) return;
  open.isBusy = false;
  if (answer.refused) refuse(answer.refused);
  else open.effect = answer;
  drawStage();
  if (open.effect?.typed) byId("dialog-form").elements.typed.focus();
  else if (open.effect) byId("dialog-submit").focus();
};

const carryOut = async () => {
  const mine = open;
  open.isBusy = true;
  drawStage();
  const answer = await send({ ...readCommand(), typed: byId("dialog-form").elements.typed.value.trim() });
  if (mine !== open) return;
  open.isBusy = false;
  if (answer.refused) {
    refuse(answer.refused);
    drawStage();
    return;
  }
  setRich(byId("result"), `${ACTS[open.act].title}: ${answer.text}`);
  byId("dialog").close();
};

const begin = (act, button) => {
  const form = byId("dialog-form");
  form.reset();
  open = { act, button, effect: null, isBusy: false };
  setText(byId("dialog-title"), ACTS[act].title);
  showText(byId("dialog-intro"), ACTS[act].intro);
  for (const field of form.querySelectorAll("[data-field]")) show(field, ACTS[act].fields.includes(field.dataset.field));
  fillGateways(button.dataset.gateway);
  refuse("");
  byId("dialog").showModal();
  if (ACTS[act].fields.length) drawStage();
  else foretell();
};

// The button that opened the dialog may be gone by then: after a pause, “Continue” stands in its place.
const restoreFocus = () => {
  const button = open?.button;
  open = null;
  requestAnimationFrame(() => {
    if (button?.isConnected && isVisible(button)) button.focus();
    else if (button) moveFocus(button);
  });
};

export const offerActs = () => {
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-act]");
    if (button && isOffered(button.dataset.act)) begin(button.dataset.act, button);
  });
  byId("dialog-form").addEventListener("submit", (event) => {
    event.preventDefault();
    if (byId("dialog-submit").disabled) return;
    if (open.effect) carryOut();
    else foretell();
  });
  byId("dialog-form").addEventListener("input", (event) => {
    // Another pattern or limit has another effect.
    if (event.target.name !== "typed") open.effect = null;
    refuse("");
    drawStage();
  });
  byId("dialog-cancel").addEventListener("click", () => byId("dialog").close());
  byId("dialog").addEventListener("close", restoreFocus);
};
