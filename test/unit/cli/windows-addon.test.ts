// The addon for Windows lacks some exports. The commands must work there without them.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../../support/cleanup.js";
import { runModule } from "../support/children.js";
import { root } from "../support/paths.js";

const sourceFolder = join(root, "crates/spiped-napi/src");
const folder = join(sourceFolder, "system");

/** The JavaScript names of the exports that the addon has on other systems only. */
function notOnWindows(): readonly string[] {
  const modules = [`${folder}.rs`, join(sourceFolder, "lib.rs")].flatMap((file) => {
    const found = readFileSync(file, "utf8").matchAll(/#\[cfg\(unix\)\]\n(?:pub\(crate\) )?mod (\w+);/g);
    return [...found].map(([, module]) => join(file === `${folder}.rs` ? folder : sourceFolder, `${module}.rs`));
  });
  return modules.flatMap((module) => {
    const source = readFileSync(module, "utf8");
    const exports = source.matchAll(/#\[napi[^\n]*\n(?:#\[[^\n]*\n)*pub(?:\(\w+\))? (?:fn|struct) (\w+)/g);
    return [...exports].map(([, name = ""]) => name.replace(/_(\w)/g, (_all, letter: string) => letter.toUpperCase()));
  });
}

/** The source of a module that runs a command as on Windows. */
function asOnWindows(program: string, args: readonly string[]): string {
  return `
    const { addon } = await import(dist("native/native.js"));
    for (const name of ${JSON.stringify(notOnWindows())}) delete addon[name];
    Object.defineProperty(process, "platform", { value: "win32" });
    process.argv = [process.execPath, ${JSON.stringify([program, ...args]).slice(1, -1)}];
    const { run } = await import(dist("cli/run.js"));
    const write = addon.LogWriter?.prototype.write;
    if (write !== undefined) addon.LogWriter.prototype.write = function (line) {
      write.call(this, line);
      if (line.includes("listening on ")) setImmediate(() => process.emit("SIGINT", "SIGINT"));
    };
    await run(${JSON.stringify(program)}, () => import(dist("cli/${program}.js")));`;
}

test("the search finds the exports that Windows lacks", () => {
  const names = notOnWindows();
  for (const name of ["listenTcp", "LockedFile", "protectMemory", "Relay"]) assert.ok(names.includes(name), name);
  for (const name of ["resolve", "readKeyFile"]) assert.ok(!names.includes(name), name);
});

test("no method of an exported class is left out on some system: napi's macro would export it anyway", () => {
  const sources = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".rs"));
  assert.ok(sources.length > 10);
  const leftOut = /\n {4}#\[cfg\([^\n]*\n(?: {4}#\[[^\n]*\n)* {4}#\[napi/;
  assert.deepEqual(
    sources.filter((name) => leftOut.test(readFileSync(join(folder, name), "utf8"))),
    [],
  );
});

test("with the exports of Windows, spiped keygen makes a key, and spiped -F listens and stops", async (t) => {
  const key = join(await temporaryFolder(t), "key");
  const keygen = runModule(asOnWindows("spiped", ["keygen", key]));
  assert.deepEqual([keygen.status, keygen.stderr.toString()], [0, ""]);
  const args = ["-F", "-e", "-s", "[127.0.0.1]:0", "-t", "[127.0.0.1]:9", "-k", key];
  const { status, stderr } = runModule(asOnWindows("spiped", args));
  assert.match(stderr.toString(), /^spiped: listening on \[127\.0\.0\.1\]:\d+, .*\nspiped: stopped: .*\n$/);
  assert.equal(status, 0);
});

test("with the exports of Windows, spipe reports in one line that it cannot connect", async (t) => {
  const key = join(await temporaryFolder(t), "key");
  assert.equal(runModule(asOnWindows("spiped", ["keygen", key])).status, 0);
  const { status, stderr } = runModule(asOnWindows("spipe", ["-t", "[127.0.0.1]:1", "-k", key]));
  assert.match(
    stderr.toString(),
    /^spipe: Could not connect: [^\n]*connection refused; hint: is spiped -d running there\? Try spipe --probe\n$/,
  );
  assert.equal(status, 1);
});
