/**
 * The script of the status page: fetches `/status` every two seconds and renders it. Strings are inserted as text nodes, never
 * as markup. scripts/build-status-page.mjs inlines it into the page; it is type-checked against the DOM library.
 * Longer than most files because it is inlined as one script, without a bundler.
 */

import type { ConnectionDocument, FailureDocument, StatusDocument, TunnelDocument } from "../status-document.js";

const INTERVAL_MS = 2_000;
const TIMEOUT_MS = 5_000;
/** How many samples a graph shows: two minutes. */
const MOMENTS = 60;

/** One sample, in bytes per second. */
interface Moment {
  readonly forward: number;
  readonly reverse: number;
}

/** The last counters of a tunnel, and the rates since. */
interface History {
  readonly seconds: number;
  readonly forward: number;
  readonly reverse: number;
  readonly moments: Moment[];
}

/** A state and its CSS class. */
type Verdict = readonly [kind: "good" | "busy" | "bad", word: string];

/** The heading of a column, and the CSS class of its cells. */
type Column = readonly [heading: string, kind?: "number" | "text"];

/** By tunnel name. */
const histories = new Map<string, History>();
let last: { readonly seconds: number; readonly cpuSeconds: number } | undefined;

/** Creates an element; children that are strings become text nodes. */
function element(
  name: string,
  attributes: Readonly<Record<string, string>> = {},
  ...children: ReadonlyArray<Node | string>
): HTMLElement {
  const made = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  made.append(...children);
  return made;
}

/** Finds an element of the page by its id. */
function part(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no ${id}`);
  return found;
}

function tile(name: string, value: string, note = "", kind = ""): HTMLElement {
  const details = [value, ...(note === "" ? [] : [" ", element("small", {}, note)])];
  return element("div", {}, element("dt", {}, name), element("dd", { class: kind }, ...details));
}

function bytes(count: number): string {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let [value, unit] = [count, 0];
  for (; value >= 1_000 && unit < units.length - 1; unit += 1) value /= 1_000;
  return `${unit === 0 ? Math.round(value) : value.toPrecision(3)} ${units[unit]}`;
}

function duration(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

function milliseconds(seconds: number | null): string {
  if (seconds === null) return "–";
  return seconds < 1 ? `${(seconds * 1_000).toPrecision(2)} ms` : `${seconds.toPrecision(2)} s`;
}

function count(number: number): string {
  return number.toLocaleString("en-US");
}

/** The local time, with the date unless it is today. */
function clock(text: string): string {
  const then = new Date(text);
  return then.toDateString() === new Date().toDateString() ? then.toLocaleTimeString() : then.toLocaleString();
}

/** Adds a sample to a tunnel's history. */
function remember(tunnel: TunnelDocument, seconds: number): readonly Moment[] {
  const { forward, reverse } = tunnel.bytes;
  const before = histories.get(tunnel.name);
  const moments = before?.moments ?? [];
  if (before !== undefined && seconds > before.seconds) {
    const passed = seconds - before.seconds;
    // Counters start again at 0 after a restart.
    const rate = (now: number, then: number) => Math.max(0, now - then) / passed;
    moments.push({ forward: rate(forward, before.forward), reverse: rate(reverse, before.reverse) });
    if (moments.length > MOMENTS) moments.shift();
  }
  histories.set(tunnel.name, { seconds, forward, reverse, moments });
  return moments;
}

/** A graph of both directions, newest sample on the right. */
function curve(moments: readonly Moment[]): SVGElement {
  const namespace = "http://www.w3.org/2000/svg";
  const picture = document.createElementNS(namespace, "svg");
  const most = Math.max(1, ...moments.flatMap(({ forward, reverse }) => [forward, reverse]));
  picture.setAttribute("viewBox", `0 0 ${MOMENTS - 1} 20`);
  picture.setAttribute("preserveAspectRatio", "none");
  picture.setAttribute("role", "img");
  picture.setAttribute("aria-label", `bytes per second in the last two minutes, at most ${bytes(most)} per second`);
  for (const direction of ["forward", "reverse"] as const) {
    const line = document.createElementNS(namespace, "polyline");
    const points = moments.map(
      (moment, at) => `${MOMENTS - moments.length + at},${19 - (18 * moment[direction]) / most}`,
    );
    line.setAttribute("points", points.join(" "));
    line.setAttribute("class", direction);
    picture.append(line);
  }
  return picture;
}

/** A table without its empty columns. */
function table(allColumns: readonly Column[], allRows: ReadonlyArray<readonly string[]>): HTMLElement {
  const isUsed = (_one: unknown, at: number) => allRows.some((row) => row[at] !== "");
  const columns = allColumns.filter(isUsed);
  const rows = allRows.map((row) => row.filter(isUsed));
  const classOf = (kind: Column[1]): Record<string, string> => (kind === undefined ? {} : { class: kind });
  const head = columns.map((column) => element("th", { scope: "col", ...classOf(column[1]) }, column[0]));
  const body = rows.map((row) => {
    return element("tr", {}, ...row.map((cell, at) => element("td", classOf(columns[at]?.[1]), cell)));
  });
  const whole = element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...body));
  return element("div", { class: "scrolls" }, whole);
}

function stateOf(tunnel: TunnelDocument): Verdict {
  if (tunnel.state !== "listening") return ["busy", tunnel.state];
  return tunnel.accepting ? ["good", "accepting"] : ["bad", "not accepting"];
}

function endsOf({ ended }: TunnelDocument["connections"]): string {
  const sums = new Map<string, number>();
  for (const { reason, count: times } of ended) sums.set(reason, (sums.get(reason) ?? 0) + times);
  return [...sums].map(([reason, times]) => `${count(times)} ${reason}`).join(", ");
}

function tunnelCard(tunnel: TunnelDocument, moments: readonly Moment[]): HTMLElement {
  const { connections, keys, busiest, failures } = tunnel;
  const [kind, word] = stateOf(tunnel);
  const verb = tunnel.role === "encrypt" ? "encrypts" : "decrypts";
  const way = element("small", { class: "way" }, `${verb} ${tunnel.source} → ${tunnel.target}`);
  const card = element(
    "section",
    {},
    element("header", {}, element("h2", {}, tunnel.name, " ", way), element("p", { class: kind }, word)),
    element("dl", {}, ...tunnelTiles(tunnel, moments.at(-1))),
    curve(moments),
  );
  const ends = endsOf(connections);
  if (ends !== "") card.append(element("p", { class: "quiet" }, `ended: ${ends}`));
  if (keys.length > 0) {
    const ids = keys.flatMap(({ name, id }) => [name === "" ? " " : ` ${name} `, element("code", {}, id)]);
    card.append(element("p", { class: "quiet" }, keys.length === 1 ? "key:" : "keys:", ...ids));
  }
  if (busiest.length > 0) {
    const all = connections.open + connections.strangers;
    const which = busiest.length < all ? `the busiest ${busiest.length} of ${count(all)} connections` : "connections";
    card.append(element("h3", {}, which), connectionTable(busiest));
  }
  if (failures.length > 0) card.append(element("h3", {}, "recent failures"), failureTable(failures));
  return card;
}

function tunnelTiles(tunnel: TunnelDocument, now: Moment | undefined): readonly HTMLElement[] {
  const { role, connections, bytes: moved, handshakeSeconds: handshakes, lookupFailures } = tunnel;
  const limit = connections.limit === null ? "no limit" : `of ${count(connections.limit)}`;
  // Connections from before a reload do not count toward the limit.
  const holders = connections.open - connections.draining;
  const isFull = connections.limit !== null && holders > connections.limit * 0.9;
  const rate = (perSecond: number | undefined) => (perSecond === undefined ? "–" : `${bytes(perSecond)}/s`);
  return [
    tile("open", count(holders), limit, isFull ? "bad" : ""),
    ...(connections.draining > 0 ? [tile("draining", count(connections.draining), "from before a reload")] : []),
    ...(role === "decrypt" ? [tile("unauthenticated", count(connections.strangers), "handshaking")] : []),
    tile("accepted", count(connections.accepted)),
    tile("forward", rate(now?.forward), bytes(moved.forward), "forward"),
    tile("reverse", rate(now?.reverse), bytes(moved.reverse), "reverse"),
    tile("handshake", milliseconds(handshakes.median), `95 %: ${milliseconds(handshakes.p95)}`),
    ...(lookupFailures > 0 ? [tile("failed lookups", count(lookupFailures), "", "bad")] : []),
  ];
}

function connectionTable(connections: readonly ConnectionDocument[]): HTMLElement {
  const numbers: readonly Column[] = ["age", "forward", "reverse", "handshake"].map((name) => [name, "number"]);
  return table(
    [["peer"], ["key"], ["phase"], ...numbers],
    connections.map(({ peer, key, phase, ageSeconds, bytesForward, bytesReverse, handshakeSeconds }) => [
      peer,
      key,
      phase,
      duration(ageSeconds),
      bytes(bytesForward),
      bytes(bytesReverse),
      milliseconds(handshakeSeconds),
    ]),
  );
}

function failureTable(failures: readonly FailureDocument[]): HTMLElement {
  return table(
    [["time"], ["peer"], ["key"], ["reason"], ["message", "text"]],
    failures.map(({ at, peer, key, reason, message }) => [clock(at), peer, key, reason, message]),
  );
}

function processTiles(status: StatusDocument, rates: number | undefined): readonly HTMLElement[] {
  const { process: figures, tunnels, lastReload } = status;
  const open = tunnels.reduce((sum, { connections }) => sum + connections.open, 0);
  const seconds = Date.parse(status.now) / 1_000;
  const passed = last === undefined ? 0 : seconds - last.seconds;
  const used = Math.max(0, figures.cpuSeconds - (last?.cpuSeconds ?? 0));
  const cpu = passed > 0 ? `${((100 * used) / passed).toFixed(1)} %` : "–";
  last = { seconds, cpuSeconds: figures.cpuSeconds };
  const descriptors = figures.openDescriptors === null ? "–" : count(figures.openDescriptors);
  const most = figures.maxDescriptors === null ? "" : `of ${count(figures.maxDescriptors)}`;
  const [reload, kind] = reloadVerdict(lastReload);
  return [
    tile("up", duration(status.uptimeSeconds)),
    tile("tunnels", count(tunnels.length)),
    tile("open connections", count(open)),
    tile("bytes", rates === undefined ? "–" : `${bytes(rates)}/s`),
    tile("CPU", cpu),
    tile("memory", bytes(figures.residentBytes)),
    tile("descriptors", descriptors, most),
    tile("configuration", reload, reloadText(lastReload), kind),
  ];
}

function reloadVerdict({ failed, needRestart }: StatusDocument["lastReload"]): readonly [text: string, kind: string] {
  if (failed.some(({ what }) => what !== "settings")) return ["reload failed", "bad"];
  return needRestart.length > 0 ? ["restart needed", "bad"] : ["loaded", "good"];
}

/** When it was loaded; after a failure, when that was, and of what. */
function reloadText({ at, lastSuccessAt, failed, needRestart }: StatusDocument["lastReload"]): string {
  const texts = { configuration: "configuration", settings: `restart to apply ${needRestart.join(", ")}` };
  const what = failed.map((one) => (one.what === "keys" ? `keys of ${one.tunnel}` : texts[one.what]));
  return [clock(failed.length > 0 ? (at ?? lastSuccessAt) : lastSuccessAt), ...what].join(", ");
}

function overall({ stopping, tunnels }: StatusDocument): Verdict {
  if (stopping) return ["busy", "draining: no new connections"];
  const stuck = tunnels.filter(({ state, accepting }) => state !== "removed" && !accepting);
  return stuck.length === 0
    ? ["good", "accepting"]
    : ["bad", `not accepting: ${stuck.map(({ name }) => name).join(", ")}`];
}

function say([kind, word]: Verdict): void {
  const state = part("state");
  state.className = kind;
  if (state.textContent !== word) state.textContent = word;
}

function show(status: StatusDocument): void {
  const seconds = Date.parse(status.now) / 1_000;
  const all = status.tunnels.map((tunnel) => [tunnel, remember(tunnel, seconds)] as const);
  const newest = all.map(([, moments]) => moments.at(-1)).filter((moment) => moment !== undefined);
  const rates = newest.length === 0 ? undefined : newest.reduce((sum, one) => sum + one.forward + one.reverse, 0);
  say(overall(status));
  // Do not replace text that the user is selecting.
  if (document.getSelection()?.isCollapsed === false) return;
  part("version").textContent = `${status.version}, Node.js ${status.node}, ${status.platform}`;
  part("process").replaceChildren(...processTiles(status, rates));
  part("tunnels").replaceChildren(...all.map(([tunnel, moments]) => tunnelCard(tunnel, moments)));
}

/** Fetches `/status`; undefined if that fails. */
async function fetchStatus(): Promise<StatusDocument | undefined> {
  try {
    const response = await fetch("/status", { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) });
    return response.ok ? await response.json() : undefined;
  } catch {
    return undefined;
  }
}

async function poll(): Promise<void> {
  setTimeout(next, INTERVAL_MS);
  const status = await fetchStatus();
  if (status === undefined) say(["bad", "no response; the data below is out of date"]);
  else show(status);
}

function next(): void {
  // Pause while the page is hidden.
  if (!document.hidden) void poll();
  else document.addEventListener("visibilitychange", () => next(), { once: true });
}

next();
