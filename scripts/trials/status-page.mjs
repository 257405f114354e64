// The status page in a real browser, with three tunnels, traffic and a few failures: it shows what /status says,
// contacts no other host, violates none of its own content security policy, fits on a phone, and escapes hostile text.
// Writes the picture for docs/status.md. Needs chromium and a build. Takes about a minute.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { freePort } from "../support/processes.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const PICTURE = join(root, "docs/status.png");
const MOST_BYTES = 150_000;
const folder = mkdtempSync(join(tmpdir(), "spiped-trial-"));
const children = [];
process.once("exit", () => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
});

if (spawnSync("chromium", ["--version"]).status !== 0) {
  console.error("the trial needs chromium");
  process.exit(2);
}

/** Controls a browser over two pipes. */
class Browser {
  #lastId = 0;
  #input;
  #waiting = new Map();
  listeners = [];

  constructor() {
    const flags = [
      "--headless=new",
      "--no-sandbox",
      "--remote-debugging-pipe",
      "--disable-gpu",
      "--hide-scrollbars",
      "--no-first-run",
    ];
    const quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync"];
    const child = spawn("chromium", [...flags, ...quiet, `--user-data-dir=${join(folder, "browser")}`, "about:blank"], {
      stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"],
    });
    children.push(child);
    this.#input = child.stdio[3];
    let text = "";
    child.stdio[4].setEncoding("utf8").on("data", (chunk) => {
      text += chunk;
      const messages = text.split("\0");
      text = messages.pop();
      for (const message of messages) this.#take(JSON.parse(message));
    });
  }

  #take({ id, result, error, method, params }) {
    if (id === undefined) {
      for (const listener of this.listeners) listener(method, params);
      return;
    }
    const { resolve, reject } = this.#waiting.get(id);
    if (error === undefined) resolve(result);
    else reject(new Error(error.message));
  }

  send(method, params = {}, sessionId = undefined) {
    this.#lastId += 1;
    this.#input.write(`${JSON.stringify({ id: this.#lastId, method, params, sessionId })}\0`);
    return new Promise((resolve, reject) => this.#waiting.set(this.#lastId, { resolve, reject }));
  }
}

const status = await startTunnels();
const origin = `http://127.0.0.1:${status}`;
const browser = new Browser();
const problems = [];
const requests = [];
let hostile;
browser.listeners.push((method, params) => {
  if (method === "Runtime.exceptionThrown") problems.push(JSON.stringify(params.exceptionDetails));
  if (method === "Runtime.consoleAPICalled") problems.push(JSON.stringify(params.args));
  if (method === "Log.entryAdded") problems.push(params.entry.text);
  if (method === "Audits.issueAdded") problems.push(JSON.stringify(params.issue));
  if (method === "Network.requestWillBeSent") requests.push(params.request.url);
  if (method === "Fetch.requestPaused") void answer(params);
});
const { targetId } = await browser.send("Target.createTarget", { url: "about:blank" });
const { sessionId } = await browser.send("Target.attachToTarget", { targetId, flatten: true });
const page = (method, params) => browser.send(method, params, sessionId);
const evaluate = async (expression) => {
  const { result, exceptionDetails } = await page("Runtime.evaluate", { expression, returnByValue: true });
  assert.equal(exceptionDetails, undefined, JSON.stringify(exceptionDetails));
  return result.value;
};
for (const domain of ["Page", "Runtime", "Log", "Network", "Audits"]) await page(`${domain}.enable`);
await screen(1_100, 900, "light");
await page("Page.navigate", { url: `${origin}/` });
await eventually("three tunnels on the page", async () => (await evaluate(count("section"))) === 3);
// Half a minute of curves.
await new Promise((resolve) => setTimeout(resolve, 30_000));
const text = await evaluate("document.body.innerText");
const seen = await (await fetch(`${origin}/status`)).json();
for (const { name, target, keys } of seen.tunnels) {
  for (const word of [name, target, ...keys.map(({ id }) => id)]) assert.ok(text.includes(word), word);
}
for (const { name, connections } of seen.tunnels) assert.equal(connections.open > 0, name !== "ssh", name);
assert.match(text, /handshake-failed/);
assert.match(text, /connect-failed/);
assert.ok((await evaluate(`document.querySelector("polyline").getAttribute("points").split(" ").length`)) >= 10);
console.log("the page shows tunnels, keys, curves and failures");

await screen(840, 1_060, "light");
await picture(PICTURE);
for (const [width, scheme] of [
  [360, "light"],
  [360, "dark"],
  [1_100, "dark"],
]) {
  await screen(width, 800, scheme);
  const wide = await evaluate("document.documentElement.scrollWidth");
  assert.ok(wide <= width, `the page is ${wide} wide on a screen of ${width}`);
  await picture(join(tmpdir(), `spiped-status-${width}-${scheme}.png`));
}
console.log("it fits on a phone, in the light and the dark theme");

hostile = '<img src=x onerror="window.broken=1"><script>window.broken=1</script>"><b>';
await page("Fetch.enable", { patterns: [{ urlPattern: `${origin}/status*` }] });
await eventually("hostile texts on the page", async () =>
  (await evaluate("document.body.innerText")).includes(hostile),
);
assert.equal(await evaluate("window.broken"), undefined);
assert.equal(await evaluate(count("#tunnels img, #tunnels script, #tunnels b")), 0);
await page("Fetch.disable");
console.log("hostile texts are escaped");

assert.deepEqual(problems, []);
const foreign = requests.filter((url) => !url.startsWith(`${origin}/`) && !/^(?:data:|about:blank$)/.test(url));
assert.deepEqual(foreign, []);
assert.ok(requests.length > 10);
console.log(`no error, no policy violation; ${requests.length} requests, none to another host`);
// The browser's helper processes write to its folder until they exit, too.
const gone = children.map((child) => once(child, "exit"));
void browser.send("Browser.close");
for (const child of children.slice(0, -1)) child.kill("SIGKILL");
await Promise.all(gone);
process.exit(0);

function count(selector) {
  return `document.querySelectorAll(${JSON.stringify(selector)}).length`;
}

async function screen(width, height, scheme) {
  await page("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: width < 500 });
  await page("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: scheme }] });
}

async function picture(path) {
  const { data } = await page("Page.captureScreenshot", { format: "png" });
  const bytes = Buffer.from(data, "base64");
  assert.ok(bytes.length < MOST_BYTES, `${path} has ${bytes.length} bytes`);
  writeFileSync(path, bytes);
  console.log(`${path}: ${bytes.length} bytes`);
}

/** Puts hostile text wherever peers, names or messages can reach the page. */
async function answer({ requestId }) {
  const [tunnel] = seen.tunnels;
  const hurt = (one) =>
    Object.fromEntries(Object.entries(one).map(([name, value]) => [name, typeof value === "string" ? hostile : value]));
  const changed = {
    ...hurt(tunnel),
    state: "listening",
    keys: [{ name: hostile, id: hostile }],
    busiest: tunnel.busiest.map(hurt),
    failures: seen.tunnels.flatMap(({ failures }) => failures).map((one) => ({ ...hurt(one), at: one.at })),
  };
  const body = JSON.stringify({
    ...seen,
    version: hostile,
    node: hostile,
    now: new Date().toISOString(),
    tunnels: [changed],
  });
  const responseHeaders = [{ name: "Content-Type", value: "application/json" }];
  const params = { requestId, responseCode: 200, responseHeaders, body: Buffer.from(body).toString("base64") };
  await page("Fetch.fulfillRequest", params);
}

/**
 * One process with three tunnels, their other ends, clients with traffic, and some that fail. @returns The status
 * port.
 */
async function startTunnels() {
  const [statusPort, ...ports] = await Promise.all(Array.from({ length: 10 }, freePort));
  const [redis, graphite, ssh, redisNear, graphiteFar, sshNear, wrongNear, nobody, otherNear] = ports;
  const keyOf = (name) => {
    const path = join(folder, `${name}.key`);
    writeFileSync(path, randomBytes(32), { mode: 0o600 });
    return path;
  };
  mkdirSync(join(folder, "redis"));
  const keys = {
    web1: keyOf("redis/web1"),
    web2: keyOf("redis/web2"),
    graphite: keyOf("graphite"),
    ssh: keyOf("ssh"),
    wrong: keyOf("wrong"),
  };
  const echo = createServer((socket) => {
    socket.on("error", () => undefined).on("end", () => socket.end());
    // Half of what came, in waves of its own.
    socket.on("data", (chunk) => {
      const share = 0.5 + 0.4 * Math.sin(Date.now() / 2_500);
      if (chunk.length < 2_000 || !socket.writable) return;
      socket.write(chunk.subarray(0, Math.round(chunk.length * share)));
    });
  }).listen(0, "127.0.0.1");
  await once(echo, "listening");
  const service = echo.address().port;
  const at = (port) => `"[127.0.0.1]:${port}"`;
  mkdirSync(join(folder, "etc"));
  writeFileSync(
    join(folder, "etc/spiped.toml"),
    `status = "${statusPort}"
[decrypt.redis]
source = ${at(redis)}
target = ${at(service)}
key = "${join(folder, "redis")}"
[encrypt.graphite]
source = ${at(graphite)}
target = ${at(graphiteFar)}
key = "${keys.graphite}"
[decrypt.ssh]
source = ${at(ssh)}
target = ${at(nobody)}
key = "${keys.ssh}"
max-connections = 20
`,
  );
  spiped("--config", join(folder, "etc/spiped.toml"));
  spiped("-e", ...ends(redisNear, redis), "-k", keys.web1);
  spiped("-e", ...ends(otherNear, redis), "-k", keys.web2);
  spiped("-d", ...ends(graphiteFar, service), "-k", keys.graphite);
  spiped("-e", ...ends(sshNear, ssh), "-k", keys.ssh);
  spiped("-e", ...ends(wrongNear, redis), "-k", keys.wrong);
  await eventually("the status", async () => (await fetch(`http://127.0.0.1:${statusPort}/healthz`)).ok);
  // A client of graphite that comes before its other end listens is only a failure.
  (await eventually("the other end of graphite", () => dial(graphiteFar))).destroy();
  for (let each = 0; each < 3; each += 1)
    void talk(each === 1 ? otherNear : redisNear, 50 + each * 20, 2_000 + each * 4_000);
  for (let each = 0; each < 2; each += 1) void talk(graphite, 200, 500 + each * 100);
  setInterval(() => talk(redisNear, 50, 1_000, 3_000), 2_500);
  for (let each = 0; each < 2; each += 1) void fail(wrongNear);
  for (let each = 0; each < 2; each += 1) void fail(sshNear);
  return statusPort;
}

function ends(source, target) {
  return ["-s", `[127.0.0.1]:${source}`, "-t", `[127.0.0.1]:${target}`];
}

function spiped(...flags) {
  children.push(
    spawn(process.execPath, [join(root, "bin/spiped.js"), "-F", ...flags], { stdio: ["ignore", "inherit", "ignore"] }),
  );
}

/** A client that sends now and then, in waves. */
async function talk(port, everyMs, bytes, forMs = Number.POSITIVE_INFINITY) {
  const socket = await eventually("a connection", () => dial(port));
  const startedAt = Date.now();
  socket.on("data", () => undefined).on("error", () => undefined);
  const timer = setInterval(() => {
    const passed = Date.now() - startedAt;
    if (passed > forMs) {
      clearInterval(timer);
      socket.end();
    } else if (!socket.destroyed) socket.write(Buffer.alloc(Math.round(bytes * (1.2 + Math.sin(passed / 4_000)))));
  }, everyMs);
}

async function fail(port) {
  const socket = await eventually("a connection", () => dial(port));
  socket.on("error", () => undefined);
}

async function dial(port) {
  const socket = connect(port, "127.0.0.1");
  await once(socket, "connect");
  return socket;
}

async function eventually(what, look) {
  for (let tries = 0; tries < 150; tries += 1) {
    const found = await look().catch(() => undefined);
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  throw new Error(`timed out after 30 s waiting for ${what}`);
}
