"use strict";
// What the report and the live page both build: texts, labels and the groups of a cause. No text from outside
// is ever read as markup.
const Parts = (() => {
  // Failures first: the order of every list. An open target has not ended yet.
  const ORDER = ["failed", "unknown", "not_started", "open", "undeployed", "restored", "already_undeployed", "already_deployed"];
  // The same characters as in make_visible of text/characters.py; a test compares the two.
  const INVISIBLE = new RegExp(
    "[\\u0000-\\u001f\\u007f-\\u009f\\u00ad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180b-\\u180f\\u200b-\\u200f\\u2028-\\u202e" +
    "\\u2060-\\u206f\\u2800\\u3164\\ufe00-\\ufe0d\\ufeff\\uffa0\\ufff0-\\ufffb\\ud800-\\udfff" +
    "\\u{1bca0}-\\u{1bca3}\\u{1d173}-\\u{1d17a}\\u{e0000}-\\u{e0fff}]", "gu");

  const escapeLetter = (odd) => {
    const code = odd.codePointAt(0);
    return code > 0xffff ? `\\U${code.toString(16).padStart(8, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
  };
  const visible = (value) => value.replace(INVISIBLE, escapeLetter);

  const make = (name, className, ...content) => {
    const element = document.createElement(name);
    if (className) element.className = className;
    element.append(...content.filter((part) => part !== undefined && part !== null));
    return element;
  };

  // A text from outside: its direction is kept to itself, and nothing in it is invisible.
  const told = (value) => make("bdi", "", visible(value));

  const count = (number) => number.toLocaleString("en");
  const countTargets = (number) => `${count(number)} ${number === 1 ? "target" : "targets"}`;

  const duration = (seconds) => {
    if (seconds === null || seconds === undefined) return "–";
    if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`;
    if (seconds < 59.95) return `${seconds.toFixed(seconds < 10 ? 2 : 1)} s`;
    const whole = Math.round(seconds);
    return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
  };

  const nameOutcome = (outcome) => (outcome === "open" ? "to go" : outcome.replaceAll("_", " "));

  const outcomeLabel = (outcome) => {
    const sign = make("span", `key fill-${outcome}`);
    sign.setAttribute("aria-hidden", "true");
    return make("span", `outcome is-${outcome}`, sign, nameOutcome(outcome));
  };

  // The address within the page that shows the targets with these values of a filter.
  const linkTargets = (filter) =>
    `#${Object.entries(filter).map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&")}`;

  // How many targets of a cause its examples leave out; "and 3 more" after no example at all would say nothing.
  const countMore = (cause) => (cause.examples.length ? Math.max(0, cause.count - cause.examples.length) : 0);

  // One group of causes: {outcome, label, text, count, gateways, examples, names, searchable}.
  const buildCause = (cause) => {
    const filter = { outcome: cause.outcome };
    if (cause.searchable !== false) filter.q = cause.label;
    const label = make("a", "code", told(cause.label));
    label.href = linkTargets(filter);
    const examples = make("ul", "examples");
    for (const [place, id] of cause.examples.entries()) {
      const link = make("a", "code", told(id));
      link.href = linkTargets({ q: id });
      const name = cause.names?.[place];
      examples.append(make("li", "", link, name && make("span", "quiet", " (", told(name), ")")));
    }
    const more = countMore(cause);
    if (more) examples.append(make("li", "more", `and ${count(more)} more`));
    const where = make("p", "where", "on ");
    cause.gateways.slice(0, 5).forEach((name, place) => where.append(place ? ", " : "", told(name)));
    if (cause.gateways.length > 5) where.append(` and ${cause.gateways.length - 5} more`);
    return make("li", `cause edge-${cause.outcome}`,
      make("p", "amount", make("b", "", count(cause.count)), " ", make("span", "", nameOutcome(cause.outcome))),
      make("div", "", make("h3", "", label), cause.text ? make("p", "told", told(cause.text)) : null,
        cause.gateways.length ? where : null, examples));
  };

  return { ORDER, visible, make, told, count, countTargets, duration, nameOutcome, outcomeLabel, linkTargets, buildCause, countMore };
})();
