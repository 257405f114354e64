// A panic in each kind of thread of the addon: one connection is lost, or one lookup or key file fails, with a message,
// and everything else goes on. Builds an addon that panics on request (feature `panics`), in a copy of the package.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { dial, Service, tally, visit } from "../../support/exact-traffic.mjs";
import { Lacking, scenario, until } from "../../support/scenarios.mjs";
import { newKey, OURS, ROLES, startEnd } from "../../support/tunnel-ends.mjs";

const tree = fileURLToPath(new URL("../../..", import.meta.url));
const LIBRARY = "target/release/libspiped_napi.so";
let built;

/** The package with an addon that panics. @returns The command that starts it. */
function panicking(trial) {
  if (spawnSync("cargo", ["--version"]).error !== undefined) throw new Lacking("cargo is not installed");
  const args = ["build", "--release", "--locked", "-p", "spiped-napi", "--features", "panics"];
  built ??= spawnSync("cargo", args, { cwd: tree, encoding: "utf8" });
  assert.equal(built.status, 0, built.stderr);
  const folder = trial.folder();
  for (const name of ["bin", "dist", "package.json"]) cpSync(join(tree, name), join(folder, name), { recursive: true });
  mkdirSync(join(folder, "native"));
  const name = `spiped.linux-${process.arch}-gnu.node`;
  cpSync(join(tree, LIBRARY), join(folder, "native", name));
  const asked = join(folder, "panics");
  mkdirSync(asked);
  return {
    script: join(folder, "bin/spiped.js"),
    env: `TRIAL_PANICS=${asked}`,
    ask: (what) => writeFileSync(join(asked, what), ""),
    isDone: (what) => !existsSync(join(asked, what)),
  };
}

/** Both ends, one of which panics. */
async function start(trial, { program, on, target, more = [] }) {
  const its = panicking(trial);
  const key = newKey(trial);
  const service = await Service.start(trial);
  // `env` does not pass `--` on: the program's own arguments follow.
  const end = (role, to, flags = []) =>
    role === on
      ? startEnd(trial, role, {
          program,
          target: to,
          key,
          flags,
          args: ["env", its.env, ...(program === "pumps" ? ["SPIPED_RELAY=off"] : []), process.execPath, its.script],
        })
      : startEnd(trial, role, { program, target: to, key });
  const far = await end("-d", target ?? service.port, on === "-d" ? more : []);
  const near = await end("-e", far.port, on === "-e" ? more : []);
  return { ...its, key, service, near, far, faulty: on === "-d" ? far : near };
}

/** How many connections each panic may cost. */
const CONNECTION_PANICS = {
  relay: { "relay turn": 1, "relay add": 4, "relay round": 4, "derive keys": 1, "make key pair": 1 },
  pumps: { "derive keys": 1, "make key pair": 1 },
};

for (const program of OURS) {
  for (const on of ROLES) {
    for (const [what, most] of Object.entries(CONNECTION_PANICS[program])) {
      scenario(`panics/${what} ${on} ${program}`, async (trial) => {
        const ends = await start(trial, { program, on });
        const friends = Array.from({ length: 4 }, () => dial(ends.near.port));
        for (const friend of friends) await friend.ask();
        ends.ask(what);
        const visits = [];
        for (let count = 0; count < 40; count += 1) visits.push(visit(ends.near.port));
        const how = await Promise.all(visits);
        await until(() => ends.isDone(what), "the panic");
        const counted = tally(how);
        assert.ok(
          how.every((one) => one === "whole" || one === "reset"),
          counted,
        );
        assert.equal(ends.faulty.isGone, false, ends.faulty.log);
        await sleep(100);
        for (const friend of friends) if (friend.end === undefined) await friend.ask();
        const cut = friends.filter(({ end }) => end !== undefined);
        assert.ok(
          cut.every(({ end }) => end === "reset"),
          tally(cut.map(({ end }) => end)),
        );
        if (most === 1) {
          const lost = cut.length + how.filter((one) => one === "reset").length;
          assert.ok(lost <= 1, `${lost} are lost: ${ends.faulty.log}`);
        }
        const lines = ends.faulty.lines.filter((line) => line.includes("asked to panic"));
        assert.ok(what === "make key pair" || lines.length > 0, `no word about it: ${ends.faulty.log}`);
        assert.ok(!/thread '|RUST_BACKTRACE/.test(ends.faulty.log), ends.faulty.log);
        assert.equal(await visit(ends.near.port), "whole");
        return `of 4 connections ${cut.length} cut, of 40 that came ${counted}; then all served. ${lines[0] ?? "no message"}`;
      });
    }
  }
}

scenario("panics/lookup", async (trial) => {
  const service = await Service.start(trial);
  const ends = await start(trial, {
    program: "relay",
    on: "-d",
    target: `localhost:${service.port}`,
    more: ["-r", "0.2"],
  });
  assert.equal(await visit(ends.near.port), "whole");
  ends.ask("lookup");
  const line = await ends.far.said(/cannot resolve .*asked to panic/);
  assert.equal(await visit(ends.near.port), "whole", "keeping the old addresses");
  // Lookups go on: the next one can panic again.
  await sleep(500);
  ends.ask("lookup");
  await ends.far.said(/cannot resolve .*asked to panic/, 2);
  return line;
});

scenario("panics/key file", async (trial) => {
  const ends = await start(trial, { program: "relay", on: "-d" });
  for (const count of [1, 2]) {
    ends.ask("key file");
    ends.far.signal("SIGHUP");
    await ends.far.said(/SIGHUP: .*asked to panic/, count);
    assert.equal(await visit(ends.near.port), "whole", "the old key stays");
  }
  ends.far.signal("SIGHUP");
  await ends.far.said(/SIGHUP: reloaded/);
  return ends.far.lines.find((line) => line.includes("panic"));
});
