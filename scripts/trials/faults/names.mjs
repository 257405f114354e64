// A resolver that changes its answer, no longer knows the name, or does not answer. Needs libnss_wrapper.so for the
// first two, and a network and mounts of the scenario's own for the last.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { renameSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { dial, keepVisiting, Service, visit } from "../../support/exact-traffic.mjs";
import { freePort } from "../../support/processes.mjs";
import { Lacking, scenario, until } from "../../support/scenarios.mjs";
import { argsOf, cpuSeconds, newKey, PROGRAMS, ROLES, Running, startEnd } from "../../support/tunnel-ends.mjs";

const WRAPPER = "libnss_wrapper.so";

/** Names in a hosts file. */
function names(trial) {
  const file = join(trial.folder(), "hosts");
  const set = (text) => {
    writeFileSync(`${file}.new`, text);
    renameSync(`${file}.new`, file);
  };
  set("127.0.0.5 known.test\n");
  const look = `require("dns").lookup("known.test", (_, found) => console.log(found))`;
  const variables = [`LD_PRELOAD=${WRAPPER}`, `NSS_WRAPPER_HOSTS=${file}`];
  const { stdout } = spawnSync("env", [...variables, process.execPath, "-e", look], { encoding: "utf8" });
  if (!stdout.includes("127.0.0.5")) throw new Lacking(`needs ${WRAPPER} (package libnss-wrapper)`);
  return { set, before: ["env", ...variables] };
}

/** A service at several loopback addresses, with one port, that says which one was reached. */
async function servicesAt(trial, hosts) {
  const port = await freePort();
  for (const host of hosts) {
    const server = createServer((socket) => {
      socket.on("error", () => undefined);
      socket.end(host);
    }).listen(port, host);
    await new Promise((done) => server.once("listening", done));
    trial.afterwards(() => server.close());
  }
  return port;
}

/** Which service a client reaches. */
async function reached(port) {
  const client = dial(port);
  let text = "";
  client.socket.on("data", (data) => {
    text += data;
  });
  client.socket.end();
  await until(() => client.isClosed || client.end !== undefined, "an end");
  client.destroy();
  return client.end === "fin" ? text : client.end;
}

for (const [on, program] of ROLES.flatMap((role) => [
  [role, "relay"],
  [role, "C"],
])) {
  scenario(`names/changing, then gone ${on} ${program}`, async (trial) => {
    const known = names(trial);
    const hosts = ["127.0.0.11", "127.0.0.12"];
    const port = await servicesAt(trial, hosts);
    const key = newKey(trial);
    known.set("127.0.0.11 far.test\n");
    let near;
    let faulty;
    if (on === "-d") {
      faulty = await startEnd(trial, "-d", {
        program,
        target: `far.test:${port}`,
        key,
        before: known.before,
        flags: ["-r", "0.2"],
      });
      near = await startEnd(trial, "-e", { target: faulty.port, key });
    } else {
      // Two far ends at one port, each with its own service.
      const farPort = await freePort();
      for (const host of hosts) {
        const far = new Running(trial, [
          ...argsOf("relay"),
          "-F",
          "-d",
          "-s",
          `[${host}]:${farPort}`,
          "-t",
          `[${host}]:${port}`,
          "-k",
          key,
        ]);
        await far.said(/listening/);
      }
      faulty = await startEnd(trial, "-e", {
        program,
        target: `far.test:${farPort}`,
        key,
        before: known.before,
        flags: ["-r", "0.2"],
      });
      near = faulty;
    }
    const count = { before: await reached(near.port) };
    assert.equal(count.before, "127.0.0.11");
    const began = faulty.lines.length;
    let changes = 0;
    for (let round = 0; round < 20; round += 1) {
      const host = hosts[(round + 1) % 2];
      known.set(`${host} far.test\n`);
      changes += 1;
      if (program === "C") await until(async () => (await reached(near.port)) === host, "the new address");
      else await faulty.said(/far\.test:\d+ now resolves to/, changes);
      assert.equal(await reached(near.port), host);
    }
    known.set("127.0.0.5 known.test\n");
    if (program !== "C") await faulty.said(/cannot resolve far\.test.*keeping the old addresses/);
    else await sleep(1_000);
    const before = cpuSeconds(faulty.pid);
    for (let round = 0; round < 20; round += 1) {
      assert.equal(await reached(near.port), hosts[0]);
      await sleep(100);
    }
    if (program !== "C") assert.equal(faulty.count(/cannot resolve/), 1, "it is said once");
    known.set("127.0.0.12 far.test\n");
    if (program === "C") await until(async () => (await reached(near.port)) === "127.0.0.12", "the new address");
    else await faulty.said(/far\.test:\d+ now resolves to/, changes + 1);
    assert.equal(await reached(near.port), "127.0.0.12");
    return `20 changes, each used at once by the next client; gone for 2 s: the old address stays, one line (${(cpuSeconds(faulty.pid) - before).toFixed(2)} s of CPU); ${faulty.lines.length - began} lines in all`;
  });
}

for (const program of PROGRAMS) {
  scenario(`names/silent after the start ${program}`, async (trial) => {
    // A separate network with a service, both ends, and a name server that stops answering once `silent` is set.
    const known = names(trial);
    known.set("127.0.0.1 far.test\n");
    const service = await Service.start(trial);
    const key = newKey(trial);
    // The wrapper asks the system for names its file does not have; a FIFO instead of a file makes a lookup that never
    // ends.
    const far = await startEnd(trial, "-d", {
      program,
      target: `far.test:${service.port}`,
      key,
      before: known.before,
      flags: ["-r", "0.2"],
    });
    const near = await startEnd(trial, "-e", { program, target: far.port, key });
    assert.equal(await visit(near.port), "whole");
    const file = known.before.at(-1).replace("NSS_WRAPPER_HOSTS=", "");
    spawnSync("sh", ["-c", 'mkfifo "$0.pipe" && mv "$0.pipe" "$0"', file]);
    await sleep(1_000);
    const threads = far.threads;
    const visits = keepVisiting(trial, near.port, { count: 2, pauseMs: 20 });
    await sleep(5_000);
    const counts = await visits.stop();
    assert.deepEqual(Object.keys(counts), ["whole"], JSON.stringify(counts));
    assert.ok(far.threads <= threads, `lookups pile up: ${far.threads} threads, ${threads} before`);
    if (program !== "C") {
      far.signal("SIGHUP");
      await far.said(/SIGHUP: reloaded/);
    }
    const begun = performance.now();
    far.signal("SIGTERM");
    const status = await far.ended();
    if (program !== "C") assert.equal(status, 0);
    const ms = performance.now() - begun;
    assert.ok(program === "C" || ms < 5_000, `the shutdown waits for the lookup: ${ms} ms`);
    return `6 s of a lookup that never ends: ${JSON.stringify(counts)}, ${threads} threads all the time; ${program === "C" ? "" : "SIGHUP works, and "}SIGTERM ends it in ${ms.toFixed(0)} ms, status ${status}`;
  });
}
