// What went wrong, by cause. The report draws its causes by the same function.

import { byId, morph, setText, show, syncList } from "./dom.js";
import { clock, zone } from "./words.js";

const tell = (cause, state) => [
  `${Parts.count(cause.count)} ${Parts.nameOutcome(cause.outcome)}: ${Parts.visible(cause.label)}`,
  cause.text && Parts.visible(cause.text),
  cause.gateways.length && `on ${cause.gateways.map(Parts.visible).join(", ")}`,
  ...cause.examples.map((id, place) => `  ${Parts.visible(cause.names?.[place] ? `${id} (${cause.names[place]})` : id)}`),
  Parts.countMore(cause) && `  and ${Parts.count(Parts.countMore(cause))} more`,
  `run ${state.run.id}, plan ${Parts.visible(state.run.plan)}, at ${clock(state.at)} ${zone()}`,
].filter(Boolean).join("\n");

// Without HTTPS or loopback a browser gives no clipboard: then a dialog holds the text.
const copy = async (text, button) => {
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 2000);
  } catch {
    byId("copy-text").value = text;
    byId("copy").showModal();
    byId("copy-text").select();
  }
};

let latest = null;

const build = (cause) => {
  const button = Parts.make("button", "small copy", "Copy");
  button.type = "button";
  button.setAttribute("aria-label", `Copy as text: ${Parts.visible(cause.label)}`);
  const root = Parts.buildCause(cause);
  root.id = `cause-${cause.key}`;
  root.append(button);
  return root;
};

const create = (cause) => {
  const slots = { root: build(cause), drawn: cause };
  slots.root.addEventListener("click", (event) => {
    if (event.target.closest(".copy")) copy(tell(slots.drawn, latest), event.target.closest(".copy"));
  });
  return slots;
};

const isAlike = (one, other) =>
  ["text", "gateways", "examples", "names"].every((key) => String(one[key]) === String(other[key]));

const update = (slots, cause) => {
  const before = slots.drawn;
  slots.drawn = cause;
  if (before === cause) return;
  const more = slots.root.querySelector(".examples .more");
  // Most of the time a cause only grows.
  if (isAlike(before, cause) && Boolean(more) === Parts.countMore(cause) > 0) {
    setText(slots.root.querySelector(".amount b"), Parts.count(cause.count));
    if (more) setText(more, `and ${Parts.count(Parts.countMore(cause))} more`);
    return;
  }
  const next = build(cause);
  next.lastElementChild.textContent = slots.root.lastElementChild.textContent;
  for (const [place, part] of [...next.children].entries()) morph(slots.root.children[place], part);
};

export const drawCauses = (state) => {
  latest = state;
  const causes = state.causes || [];
  setText(byId("causes-words"), causes.length ? "" : "nothing has failed");
  show(byId("list-of-causes"), causes.length);
  syncList(byId("list-of-causes"), causes, create, update);
};
