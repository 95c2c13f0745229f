// Small tools for the document. Every text goes in as text: nothing here reads markup.

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

// Write only what differs: a tick stays cheap, and a selection in the text stays.
export const setText = (element, value) => {
  const text = Parts.visible(String(value ?? ""));
  if (element.textContent !== text) element.textContent = text;
};

export const setAttribute = (element, name, value) => {
  if (value === null || value === undefined) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
};

export const setClass = (element, value) => {
  if (element.className !== value) element.className = value;
};

export const show = (element, isShown) => {
  if (element.hidden === Boolean(isShown)) element.hidden = !isShown;
};

// What stands between backticks is a command: show it as one.
export const setRich = (element, value) => {
  const text = Parts.visible(String(value ?? ""));
  if (element.dataset.text === text) return;
  element.dataset.text = text;
  element.replaceChildren(...text.split("`").map((part, place) => (place % 2 ? Parts.make("code", "", part) : part)));
};

// Show a text, or hide its element where there is none.
export const showText = (element, value) => {
  setText(element, value);
  show(element, value);
};

export const makeSvg = (name, attributes) => {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
};

// A copy of a template, and its parts that change, by their names.
export const clone = (id) => {
  const root = byId(id).content.firstElementChild.cloneNode(true);
  const slots = { root };
  for (const element of root.querySelectorAll("[data-slot]")) slots[element.dataset.slot] = element;
  return slots;
};

const kept = new WeakMap();
let age = 0;

// Have every item drawn again, though it is the same.
export const forgetItems = () => {
  age += 1;
};

// Make the children of `parent` those of `items`. An element lives as long as its key does, so that focus and
// selection in it live, too. An item that is the same object as before is not drawn again.
export const syncList = (parent, items, create, update) => {
  if (!kept.has(parent)) parent.replaceChildren();
  const before = kept.get(parent) || new Map();
  const after = new Map();
  for (const item of items) if (!after.has(item.key)) after.set(item.key, before.get(item.key) || create(item));
  for (const [key, slots] of before) if (!after.has(key)) slots.root.remove();
  let place = parent.firstElementChild;
  for (const item of items) {
    const slots = after.get(item.key);
    if (slots.root === place) place = place.nextElementSibling;
    else parent.insertBefore(slots.root, place);
    if (slots.item === item && slots.age === age) continue;
    Object.assign(slots, { item, age });
    update(slots, item);
  }
  kept.set(parent, after);
};

// Change `old` into `next`, and only where they differ.
export const morph = (old, next) => {
  if (old.isEqualNode(next)) return;
  const alike = old.childNodes.length === next.childNodes.length && old.cloneNode().isEqualNode(next.cloneNode());
  if (old.nodeType === Node.TEXT_NODE && next.nodeType === Node.TEXT_NODE) old.data = next.data;
  else if (alike) [...next.childNodes].forEach((child, place) => morph(old.childNodes[place], child));
  else old.replaceWith(next);
};

// Whether the server is there to be asked; see stream.js for the words.
export const isConnected = () => ["live", "over"].includes(document.body.dataset.fresh);

// The button below a long list: it shows all entries, or again only those that matter most.
export class ShowAll {
  constructor(id, noun, most) {
    Object.assign(this, { id, noun, most, isOn: false });
  }

  draw(number) {
    const button = byId(this.id);
    show(button, number > this.most);
    setText(button, this.isOn ? `Show fewer ${this.noun}` : `Show all ${number} ${this.noun}`);
    setAttribute(button, "aria-expanded", String(this.isOn));
  }

  offer(redraw) {
    byId(this.id).addEventListener("click", () => {
      this.isOn = !this.isOn;
      redraw();
    });
  }
}

// On a wall nothing can be clicked: its links lead nowhere.
export const setLink = (element, hash) => {
  setAttribute(element, "href", document.body.classList.contains("wall") ? null : hash);
};
