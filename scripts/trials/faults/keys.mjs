// A second attack on key folders: files that are renamed, removed, made unreadable, replaced by pipes or links, changed
// while they are read, a folder that disappears and comes back, and a thousand files.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmodSync, mkdirSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { dial, Service, visit } from "../../support/exact-traffic.mjs";
import { scenario, until } from "../../support/scenarios.mjs";
import { startEnd, untilDescriptors } from "../../support/tunnel-ends.mjs";

const CLIENTS = 6;
const ROUNDS = 80;
const isSaid = /SIGHUP: (?:reloaded |.*keeping all old keys)/;

/** A spiped -d with a key folder, and a near end for each key. */
async function set(trial) {
  const folder = trial.folder();
  const keys = join(folder, "keys");
  mkdirSync(keys);
  const service = await Service.start(trial);
  const clients = [];
  for (let at = 0; at < CLIENTS; at += 1) {
    const bytes = randomBytes(32);
    const own = join(folder, `own${at}`);
    writeFileSync(own, bytes, { mode: 0o600 });
    writeFileSync(join(keys, `c${at}.key`), bytes, { mode: 0o600 });
    clients.push({ at, bytes, own });
  }
  const far = await startEnd(trial, "-d", { target: service.port, key: keys, flags: ["-n", "0"] });
  for (const client of clients) client.near = await startEnd(trial, "-e", { target: far.port, key: client.own });
  let reloads = 0;
  const reload = async () => {
    reloads += 1;
    far.signal("SIGHUP");
    return far.said(isSaid, reloads);
  };
  return { keys, far, clients, reload };
}

scenario("keys/a random walk", async (trial) => {
  const { keys, far, clients, reload } = await set(trial);
  let state = 7;
  const random = (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  /** Where each client's key is: a file name, or undefined if it was removed. */
  const names = clients.map(({ at }) => `c${at}.key`);
  const held = clients.map(() => undefined);
  const open = far.descriptors;
  let number = 0;
  const counts = {};
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [at, client] of clients.entries()) {
      if (names[at] === undefined || (held[at] !== undefined && held[at].end === undefined)) continue;
      held[at] = dial(client.near.port);
      await held[at].ask();
    }
    const before = [...names];
    // Several changes at once, then one reload.
    for (let change = 0; change < 1 + random(3); change += 1) {
      const at = random(CLIENTS);
      const name = names[at];
      const what = name === undefined ? "back" : ["taken away", "renamed", "renamed", "touched"][random(4)];
      counts[what] = (counts[what] ?? 0) + 1;
      number += 1;
      if (what === "back") {
        names[at] = `n${number}.key`;
        writeFileSync(join(keys, names[at]), clients[at].bytes, { mode: 0o600 });
      } else if (what === "taken away") {
        rmSync(join(keys, name));
        names[at] = undefined;
      } else if (what === "renamed") {
        names[at] = `r${number}.key`;
        renameSync(join(keys, name), join(keys, names[at]));
      } else writeFileSync(join(keys, name), clients[at].bytes, { mode: 0o600 });
    }
    // Now and then, something that is not a key.
    const odd = join(keys, "odd.key");
    rmSync(odd, { recursive: true, force: true });
    const oddity = random(5);
    if (oddity === 0) spawnSync("mkfifo", [odd]);
    else if (oddity === 1) symlinkSync("/nowhere", odd);
    else if (oddity === 2) mkdirSync(odd);
    else if (oddity === 3) writeFileSync(odd, "");
    await reload();
    for (const [at, client] of clients.entries()) {
      const how = await visit(client.near.port, 1_000);
      const expected = names[at] === undefined ? "reset" : "whole";
      assert.equal(how, expected, `round ${round}: client ${at} (${names[at]}): ${far.log.slice(-2_000)}`);
      if (names[at] === undefined && before[at] !== undefined && held[at] !== undefined) {
        await until(() => held[at].end !== undefined, "the removed key's connection to be reset");
        assert.equal(held[at].end, "reset");
      } else if (names[at] !== undefined && before[at] !== undefined) await held[at].ask();
    }
  }
  for (const one of held) one?.destroy();
  await untilDescriptors(far, open + 1);
  return `${ROUNDS} readings, ${JSON.stringify(counts)}, and pipes, links, folders and empty files besides: each key worked or not as the folder says, lasting connections of renamed keys went on, those of removed ones were reset`;
});

scenario("keys/the folder is gone, shut, a file, and back", async (trial) => {
  const { keys, far, clients, reload } = await set(trial);
  const held = clients.map(({ near }) => dial(near.port));
  for (const one of held) await one.ask();
  const said = [];
  const stays = async () => {
    said.push(await reload());
    assert.match(said.at(-1), /keeping all old keys/);
    for (const one of held) await one.ask();
    for (const { near } of clients) assert.equal(await visit(near.port), "whole");
  };
  renameSync(keys, `${keys}.away`);
  await stays();
  writeFileSync(keys, "not a folder");
  far.signal("SIGHUP");
  await sleep(1_000);
  for (const one of held) await one.ask();
  const asFile = far.lines.filter((line) => line.includes("SIGHUP")).at(-1);
  rmSync(keys);
  renameSync(`${keys}.away`, keys);
  chmodSync(join(keys, "c0.key"), 0o600);
  far.signal("SIGHUP");
  await far.said(/SIGHUP: reloaded .*/);
  for (const one of held) await one.ask();
  return `gone: "${said[0]}"; a file instead: "${asFile}"; back: "${far.lines.at(-1)}"; no connection ended`;
});

scenario("keys/a thousand files, and changes while they are read", async (trial) => {
  const { keys, far, clients, reload } = await set(trial);
  const open = far.descriptors;
  for (let count = 0; count < 1_000; count += 1)
    writeFileSync(join(keys, `x${count}.key`), randomBytes(32), { mode: 0o600 });
  const begun = performance.now();
  const line = await reload();
  const ms = performance.now() - begun;
  for (const { near } of clients) assert.equal(await visit(near.port), "whole", "those that were there stay");
  for (const name of readdirSync(keys)) if (name.startsWith("x")) rmSync(join(keys, name));
  // All keys are rewritten over and over while they are read: a half-written key must never count.
  let going = true;
  const writer = (async () => {
    while (going) {
      for (const { at, bytes } of clients) writeFileSync(join(keys, `c${at}.key`), bytes, { mode: 0o600 });
      await new Promise((wake) => setImmediate(wake));
    }
  })();
  for (let count = 0; count < 20; count += 1) {
    far.signal("SIGHUP");
    await sleep(50);
  }
  going = false;
  await writer;
  await reload();
  for (const { near } of clients) assert.equal(await visit(near.port), "whole");
  await untilDescriptors(far, open + 1);
  return `1,006 files: "${line}" in ${ms.toFixed(0)} ms; 20 reloads while all are rewritten: all clients are served`;
});
