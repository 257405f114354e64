// A real Prometheus scrapes a real spiped, and each of the four alerts must fire when its cause is present. The rules
// are those of contrib/, with seconds instead of minutes. Needs prometheus and promtool (Debian: prometheus) and a
// build. Takes about a minute.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { freePort } from "../support/processes.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const contrib = join(root, "contrib/prometheus");
const folder = mkdtempSync(join(tmpdir(), "spiped-trial-"));
const children = [];
process.once("exit", () => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

if (spawnSync("promtool", ["--version"]).status !== 0 || spawnSync("prometheus", ["--version"]).status !== 0) {
  console.error("the trial needs prometheus and promtool");
  process.exit(2);
}

tool(["check", "rules", join(contrib, "spiped.rules.yml")]);
tool(["check", "config", join(contrib, "prometheus.yml")]);
tool(["test", "rules", "spiped.test.yml"], { cwd: contrib });
say("promtool takes the rules, their tests and the configuration of contrib/");

const [source, status, web, near] = await Promise.all([freePort(), freePort(), freePort(), freePort()]);
const key = join(folder, "key");
writeFileSync(key, "the key of this trial, long enough for anybody", { mode: 0o600 });
const echo = createServer((socket) => socket.on("error", () => undefined).pipe(socket)).listen(0, "127.0.0.1");
await once(echo, "listening");

const far = spiped("-d", source, echo.address().port, key, "-n", "2", "--status", `[127.0.0.1]:${status}`);
spiped("-e", near, source, key);
const metrics = await eventually("the metrics", async () => (await fetch(`http://127.0.0.1:${status}/metrics`)).text());
tool(["check", "metrics"], { input: metrics });
say(`promtool takes all ${metrics.split("\n").length - 1} lines of /metrics`);

const rules = readFileSync(join(contrib, "spiped.rules.yml"), "utf8");
writeFileSync(join(folder, "spiped.rules.yml"), rules.replaceAll(/for: \d+m/g, "for: 2s").replaceAll("[10m]", "[10s]"));
const configuration = readFileSync(join(contrib, "prometheus.yml"), "utf8").replaceAll(":9100", `:${status}`);
writeFileSync(
  join(folder, "prometheus.yml"),
  `global: { scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }\n${configuration}`,
);
start("prometheus", [
  `--config.file=${join(folder, "prometheus.yml")}`,
  `--storage.tsdb.path=${join(folder, "data")}`,
  `--web.listen-address=127.0.0.1:${web}`,
]);
await eventually("the first scrape", async () => ((await query('up{job="spiped"}'))[0] === 1 ? true : undefined));
const targets = await ask("targets");
const { lastError, lastScrapeDuration } = targets.activeTargets[0];
assert.equal(lastError, "");
say(`Prometheus scrapes it, in ${(lastScrapeDuration * 1_000).toFixed(1)} ms`);
for (const name of new Set(
  [...metrics.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, one, type]) => sampleOf(one, type)),
)) {
  await eventually(`${name} to be there`, async () => ((await query(`count(${name})`)).length > 0 ? true : undefined));
}
say("it has every family");
assert.deepEqual(await alerts(), []);

const client = connect(near, "127.0.0.1");
const sending = setInterval(() => client.write(Buffer.alloc(10_000)), 100);
client.on("data", () => undefined).on("error", () => undefined);
const bytes = 'spiped_bytes_total{direction="forward"}';
const before = await eventually("bytes", async () => (await query(bytes))[0] || undefined);
await eventually("more bytes of the same connection", async () =>
  (await query(bytes))[0] > before ? true : undefined,
);
say("the bytes of an open connection move");

const second = connect(near, "127.0.0.1").on("error", () => undefined);
await fires("SpipedNotAccepting", "both places are taken");
second.destroy();
clearInterval(sending);
client.destroy();

const wrong = join(folder, "wrong");
writeFileSync(wrong, "another key than that of the other end", { mode: 0o600 });
const stranger = await freePort();
spiped("-e", stranger, source, wrong);
const knocking = setInterval(() => connect(stranger, "127.0.0.1").on("error", () => undefined), 200);
await fires("SpipedHandshakeFailures", "a client has another key");
clearInterval(knocking);

writeFileSync(key, "");
far.kill("SIGHUP");
await fires("SpipedReloadFailed", "the key file is empty");
writeFileSync(key, "the key of this trial, and a new one", { mode: 0o600 });
far.kill("SIGHUP");
await eventually("the alert to end", async () => ((await alerts()).includes("SpipedReloadFailed") ? undefined : true));
say("and ends once it is mended");

far.kill("SIGKILL");
await fires("SpipedDown", "the process is gone");
process.exit(0);

function say(text) {
  console.log(text);
}

/** Runs promtool, which must report nothing. */
function tool(args, options = {}) {
  const { status: exit, stdout, stderr } = spawnSync("promtool", args, { encoding: "utf8", ...options });
  assert.equal(exit, 0, `promtool ${args.join(" ")}: ${stdout}${stderr}`);
  // Its linter's remarks.
  assert.doesNotMatch(`${stdout}${stderr}`, /^(?:spiped|process)_\w+ /m);
}

function start(program, args) {
  const child = spawn(program, args, { stdio: ["ignore", "ignore", "ignore"] });
  children.push(child);
  return child;
}

function spiped(end, from, to, keyFile, ...flags) {
  const addresses = ["-s", `[127.0.0.1]:${from}`, "-t", `[127.0.0.1]:${to}`];
  return start(process.execPath, [join(root, "bin/spiped.js"), "-F", end, ...addresses, "-k", keyFile, ...flags]);
}

async function ask(path) {
  const response = await fetch(`http://127.0.0.1:${web}/api/v1/${path}`);
  return (await response.json()).data;
}

/** The values a query returns. */
async function query(text) {
  const { result } = await ask(`query?query=${encodeURIComponent(text)}`);
  return result.map(({ value }) => Number(value[1]));
}

async function alerts() {
  const { alerts: all } = await ask("alerts");
  return all.filter(({ state }) => state === "firing").map(({ labels }) => labels.alertname);
}

async function fires(name, why) {
  await eventually(name, async () => ((await alerts()).includes(name) ? true : undefined));
  say(`${name} fires: ${why}`);
}

function sampleOf(name, type) {
  return type === "histogram" ? `${name}_count` : name;
}

async function eventually(what, look) {
  for (let tries = 0; tries < 300; tries += 1) {
    const found = await look().catch(() => undefined);
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  throw new Error(`timed out after a minute waiting for ${what}`);
}
