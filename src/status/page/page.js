// The status page: asks /status every two seconds and shows what it says. Texts become text, never markup.

const INTERVAL_MS = 2_000;
const PATIENCE_MS = 5_000;
/** Moments that the curves show: two minutes. */
const MOMENTS = 60;

/** Of each tunnel by name: the last counters, and the rates since. */
const histories = new Map();
let last;

/** An element with attributes and children; a text becomes a text node. */
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  made.append(...children);
  return made;
}

function tile(name, value, note = "", kind = "") {
  const details = [value, ...(note === "" ? [] : [" ", element("small", {}, note)])];
  return element("div", {}, element("dt", {}, name), element("dd", { class: kind }, ...details));
}

function bytes(count) {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let [value, unit] = [count, 0];
  for (; value >= 1_000 && unit < units.length - 1; unit += 1) value /= 1_000;
  return `${unit === 0 ? Math.round(value) : value.toPrecision(3)} ${units[unit]}`;
}

function duration(seconds) {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

function milliseconds(seconds) {
  if (seconds === null) return "–";
  return seconds < 1 ? `${(seconds * 1_000).toPrecision(2)} ms` : `${seconds.toPrecision(2)} s`;
}

function count(number) {
  return number.toLocaleString("en-US");
}

/** Adds a moment to a tunnel's history. */
function remember(tunnel, seconds) {
  const { forward, reverse } = tunnel.bytes;
  const before = histories.get(tunnel.name);
  const moments = before?.moments ?? [];
  if (before !== undefined && seconds > before.seconds) {
    const passed = seconds - before.seconds;
    // After a restart the counters begin anew.
    const rate = (now, then) => Math.max(0, now - then) / passed;
    moments.push({ forward: rate(forward, before.forward), reverse: rate(reverse, before.reverse) });
    if (moments.length > MOMENTS) moments.shift();
  }
  histories.set(tunnel.name, { seconds, forward, reverse, moments });
  return moments;
}

/** A curve of both directions, the newest moment on the right. */
function curve(moments) {
  const namespace = "http://www.w3.org/2000/svg";
  const picture = document.createElementNS(namespace, "svg");
  const most = Math.max(1, ...moments.flatMap(({ forward, reverse }) => [forward, reverse]));
  picture.setAttribute("viewBox", `0 0 ${MOMENTS - 1} 20`);
  picture.setAttribute("preserveAspectRatio", "none");
  picture.setAttribute("role", "img");
  picture.setAttribute("aria-label", `bytes per second in the last two minutes, at most ${bytes(most)} per second`);
  for (const direction of ["forward", "reverse"]) {
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

function table(columns, rows) {
  const classOf = ([, kind]) => (kind === undefined ? {} : { class: kind });
  const head = columns.map((column) => element("th", { scope: "col", ...classOf(column) }, column[0]));
  const body = rows.map((row) => {
    return element("tr", {}, ...row.map((cell, at) => element("td", classOf(columns[at]), cell)));
  });
  const whole = element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...body));
  return element("div", { class: "scrolls" }, whole);
}

function stateOf(tunnel) {
  if (tunnel.state !== "listening") return ["busy", tunnel.state];
  return tunnel.accepting ? ["good", "accepting"] : ["bad", "not accepting"];
}

function endsOf({ ended }) {
  const sums = new Map();
  for (const { reason, count: times } of ended) sums.set(reason, (sums.get(reason) ?? 0) + times);
  return [...sums].map(([reason, times]) => `${count(times)} ${reason}`).join(", ");
}

function tunnelCard(tunnel, moments) {
  const { connections, handshakeSeconds: handshakes, keys, busiest, failures } = tunnel;
  const [kind, word] = stateOf(tunnel);
  const verb = tunnel.role === "encrypt" ? "encrypts" : "decrypts";
  const now = moments.at(-1);
  const limit = connections.limit === null ? "no limit" : `of ${count(connections.limit)}`;
  const isFull = connections.limit !== null && connections.open >= connections.limit * 0.9;
  const card = element(
    "section",
    {},
    element(
      "header",
      {},
      element(
        "h2",
        {},
        tunnel.name,
        " ",
        element("small", { class: "way" }, `${verb} ${tunnel.source} → ${tunnel.target}`),
      ),
      element("p", { class: kind }, word),
    ),
    element(
      "dl",
      {},
      tile("open", count(connections.open), limit, isFull ? "bad" : ""),
      ...(tunnel.role === "decrypt" ? [tile("strangers", count(connections.strangers), "no key shown yet")] : []),
      tile("accepted", count(connections.accepted)),
      tile("forward", now === undefined ? "–" : `${bytes(now.forward)}/s`, bytes(tunnel.bytes.forward), "forward"),
      tile("reverse", now === undefined ? "–" : `${bytes(now.reverse)}/s`, bytes(tunnel.bytes.reverse), "reverse"),
      tile("handshake", milliseconds(handshakes.median), `95 %: ${milliseconds(handshakes.p95)}`),
      ...(tunnel.lookUpFailures > 0 ? [tile("failed look-ups", count(tunnel.lookUpFailures), "", "bad")] : []),
    ),
    curve(moments),
  );
  const ends = endsOf(tunnel);
  if (ends !== "") card.append(element("p", { class: "quiet" }, `ended: ${ends}`));
  if (keys.length > 0) {
    const ids = keys.flatMap(({ name, id }) => [name === "" ? " " : ` ${name} `, element("code", {}, id)]);
    card.append(element("p", { class: "quiet" }, keys.length === 1 ? "key:" : "keys:", ...ids));
  }
  if (busiest.length > 0) {
    const all = connections.open + connections.strangers;
    const which = busiest.length < all ? `the busiest ${busiest.length} of ${count(all)} connections` : "connections";
    card.append(element("h3", {}, which));
    const columns = [["peer"], ["key"], ["doing"], ["age", "number"], ["forward", "number"], ["reverse", "number"]];
    card.append(
      table(
        [...columns, ["handshake", "number"]],
        busiest.map((one) => [
          one.peer,
          one.key,
          one.phase,
          duration(one.ageSeconds),
          bytes(one.bytesForward),
          bytes(one.bytesReverse),
          milliseconds(one.handshakeSeconds),
        ]),
      ),
    );
  }
  if (failures.length > 0) {
    card.append(element("h3", {}, "recent failures"));
    card.append(
      table(
        [["when", "time"], ["peer"], ["key"], ["reason"], ["message"]],
        failures.map(({ at, peer, key, reason, message }) => [
          new Date(at).toLocaleString(),
          peer,
          key,
          reason,
          message,
        ]),
      ),
    );
  }
  return card;
}

function processTiles(status, rates) {
  const { process: figures, tunnels, lastReload } = status;
  const open = tunnels.reduce((sum, { connections }) => sum + connections.open, 0);
  const seconds = Date.parse(status.now) / 1_000;
  const passed = last === undefined ? 0 : seconds - last.seconds;
  const cpu = passed > 0 ? `${((100 * Math.max(0, figures.cpuSeconds - last.cpuSeconds)) / passed).toFixed(1)} %` : "–";
  last = { seconds, cpuSeconds: figures.cpuSeconds };
  const descriptors = figures.openDescriptors === null ? "–" : count(figures.openDescriptors);
  const most = figures.maxDescriptors === null ? "" : `of ${count(figures.maxDescriptors)}`;
  const reload = lastReload.successful ? ["read", "good"] : ["mistake, nothing changed", "bad"];
  return [
    tile("up", duration(status.uptimeSeconds)),
    tile("tunnels", count(tunnels.length)),
    tile("open connections", count(open)),
    tile("bytes", rates === undefined ? "–" : `${bytes(rates)}/s`),
    tile("CPU", cpu),
    tile("memory", bytes(figures.residentBytes)),
    tile("descriptors", descriptors, most),
    tile("keys and configuration", reload[0], new Date(lastReload.lastSuccessAt).toLocaleString(), reload[1]),
  ];
}

function overall({ stopping, tunnels }) {
  if (stopping) return ["busy", "draining: no new connections"];
  const stuck = tunnels.filter(({ state, accepting }) => state !== "removed" && !accepting);
  return stuck.length === 0
    ? ["good", "accepting"]
    : ["bad", `not accepting: ${stuck.map(({ name }) => name).join(", ")}`];
}

function say([kind, word]) {
  const state = document.getElementById("state");
  state.className = kind;
  if (state.textContent !== word) state.textContent = word;
}

function show(status) {
  const seconds = Date.parse(status.now) / 1_000;
  const all = status.tunnels.map((tunnel) => [tunnel, remember(tunnel, seconds)]);
  const newest = all.map(([, moments]) => moments.at(-1)).filter((moment) => moment !== undefined);
  const rates = newest.length === 0 ? undefined : newest.reduce((sum, one) => sum + one.forward + one.reverse, 0);
  say(overall(status));
  // Whoever has marked something wants to copy it.
  if (document.getSelection()?.isCollapsed === false) return;
  document.getElementById("version").textContent = `${status.version}, Node.js ${status.node}, ${status.platform}`;
  document.getElementById("process").replaceChildren(...processTiles(status, rates));
  document.getElementById("tunnels").replaceChildren(...all.map(([tunnel, moments]) => tunnelCard(tunnel, moments)));
}

async function poll() {
  try {
    const response = await fetch("/status", { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
    if (!response.ok) throw new Error(`${response.status}`);
    show(await response.json());
  } catch {
    say(["bad", "no answer; what is below is old"]);
  }
  setTimeout(next, INTERVAL_MS);
}

function next() {
  // Nobody looks at a hidden page; the curve goes on when somebody does.
  if (!document.hidden) poll();
  else document.addEventListener("visibilitychange", () => next(), { once: true });
}

next();
