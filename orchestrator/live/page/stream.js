// The state of the run, as the server tells it: one snapshot, then differences; a fresh snapshot after every gap.

const LOST_AFTER = 5000;
const DEAD_AFTER = 12000;
const FIRST_DELAY = 500;
const LONGEST_DELAY = 10000;
// A tab that nobody looks at asks this seldom, for its title and its icon.
const HIDDEN_EVERY = 30000;
const ENDED_EVERY = 15000;
const PATIENCE = 8000;

const applyList = (items, patches, order) => {
  const byKey = new Map(items.map((item) => [item.key, item]));
  for (const [key, patch] of Object.entries(patches || {})) byKey.set(key, { key, ...byKey.get(key), ...patch });
  return (order || [...byKey.keys()]).filter((key) => byKey.has(key)).map((key) => byKey.get(key));
};

export class Stream {
  // `onChange(state, keys)`: these keys of the state have changed. `onFresh(word)`: what is known of the
  // connection, as {kind: "live" | "lost" | "refused" | "over" | "gone", at, text}; "over": the run has ended, "gone":
  // and its server has left with it.
  constructor(onChange, onFresh) {
    this.onChange = onChange;
    this.onFresh = onFresh;
    this.state = null;
    this.at = null;
    this.source = null;
    this.heard = performance.now();
    this.delay = FIRST_DELAY;
    this.over = false;
    this.fetching = null;
    this.timers = {};
  }

  start() {
    document.addEventListener("visibilitychange", () => this.see());
    addEventListener("online", () => this.see());
    this.see();
  }

  see() {
    this.close();
    this.heard = performance.now();
    if (document.hidden) {
      this.every("watch", HIDDEN_EVERY, () => this.refetch());
      return;
    }
    this.every("watch", 500, () => this.check());
    this.connect();
  }

  every(name, milliseconds, act) {
    clearInterval(this.timers[name]);
    this.timers[name] = setInterval(act, milliseconds);
  }

  close() {
    this.source?.close();
    this.source = null;
    clearTimeout(this.timers.again);
  }

  async connect() {
    this.close();
    try {
      await this.fetch();
    } catch (error) {
      this.fall(error.told);
      return;
    }
    this.delay = FIRST_DELAY;
    if (document.hidden) return;
    if (this.over) this.wait(ENDED_EVERY);
    else this.listen();
  }

  listen() {
    this.source?.close();
    const source = new EventSource(`events?after=${this.state.seq}`);
    this.source = source;
    const on = (name, act) => source.addEventListener(name, (event) => {
      if (source !== this.source) return;
      act(JSON.parse(event.data));
    });
    on("delta", (delta) => this.apply(delta));
    on("stale", () => this.refetch());
    on("beat", (beat) => {
      this.hear(beat.at);
      if (beat.seq > this.state.seq) this.refetch();
    });
    on("end", () => {
      this.over = true;
      this.connect();
    });
    source.onerror = () => {
      if (source === this.source) this.fall();
    };
  }

  // Only one fetch is under way at a time; what comes in between is in its answer, or in the next difference.
  fetch() {
    this.fetching ??= this.read().finally(() => (this.fetching = null));
    return this.fetching;
  }

  async read() {
    const reply = await fetch("state", { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
    const body = await reply.json();
    if (!reply.ok) throw Object.assign(new Error("refused"), { told: String(body.error ?? reply.status) });
    const before = this.state || {};
    const isSame = before.seq === body.seq;
    this.state = body;
    this.over = this.over && Boolean(body.ended);
    this.hear(body.at);
    if (!isSame) this.onChange(body, new Set([...Object.keys(before), ...Object.keys(body)]));
  }

  refetch() {
    this.fetch().catch((error) => this.fall(error.told));
  }

  apply(delta) {
    if (delta.seq <= this.state.seq) return;
    if (delta.base > this.state.seq) {
      this.refetch();
      return;
    }
    const lists = new Set([...Object.keys(delta.lists || {}), ...Object.keys(delta.order || {})]);
    const next = { ...this.state, ...delta.set, seq: delta.seq };
    for (const name of lists) next[name] = applyList(this.state[name] || [], delta.lists?.[name], delta.order?.[name]);
    this.state = next;
    this.hear(next.at);
    this.onChange(next, new Set([...Object.keys(delta.set || {}), ...lists]));
  }

  hear(at) {
    this.heard = performance.now();
    if (Number.isFinite(at)) this.at = at;
    this.onFresh({ kind: this.over ? "over" : "live", at: this.at });
  }

  // No word for a while, although the connection seems to stand: say so, and in the end connect anew.
  check() {
    const silent = performance.now() - this.heard;
    if (this.over || silent < LOST_AFTER) return;
    this.onFresh({ kind: "lost", at: this.at });
    if (this.source && silent > DEAD_AFTER) this.fall();
  }

  fall(told) {
    this.close();
    // The word of the end may be missing where the last state has come: its server leaves soon after.
    this.over ||= Boolean(this.state?.ended) && !told;
    if (told) this.onFresh({ kind: "refused", at: this.at, text: told });
    else if (document.hidden && !this.over) this.onFresh({ kind: "lost", at: this.at });
    if (this.over && !told) {
      this.onFresh({ kind: "gone", at: this.at });
      return;
    }
    this.wait(this.delay * (0.8 + 0.4 * Math.random()));
    this.delay = Math.min(LONGEST_DELAY, this.delay * 2);
  }

  wait(milliseconds) {
    clearTimeout(this.timers.again);
    if (!document.hidden) this.timers.again = setTimeout(() => this.connect(), milliseconds);
  }
}
