// The order in which the commands find mistakes, and keygen. All messages about arguments are in mistakes.test.ts.

import assert from "node:assert/strict";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { main } from "#dist/cli/spiped.js";
import { temporaryFolder } from "../../support/cleanup.js";
import { runModule } from "../support/children.js";
import { rejectsSpipedError } from "../support/errors.js";

const address = "[127.0.0.1]:9";
const spipedArgs = ["-e", "-s", "[127.0.0.1]:10", "-t", address, "-k", "/nowhere/key"];
const spipeArgs = ["-t", address, "-k", "/nowhere/key"];

/** The error of a start with valid arguments. It runs in a child process, because it listens for signals. */
function startOf(
  command: "spiped" | "spipe",
  args: readonly string[],
): { readonly code: string; readonly message: string } {
  const { stdout, stderr } = runModule(`
    const { main } = await import(dist("cli/${command}.js"));
    const failed = main(${JSON.stringify({ args, variables: {} })}).then(() => ({ code: "none" }), (error) => error);
    process.stdout.write(JSON.stringify({ message: (await failed).message, code: (await failed).code }));
  `);
  assert.equal(stderr.toString(), "");
  return JSON.parse(stdout.toString());
}

/** The arguments, with another target. */
function to(target: string): readonly string[] {
  return ["-e", "-s", "[127.0.0.1]:10", "-t", target, "-k", "/nowhere/key"];
}

test("both commands report a missing key file before they listen or dial", () => {
  for (const failure of [startOf("spiped", ["-F", ...spipedArgs]), startOf("spipe", spipeArgs)]) {
    assert.equal(failure.code, "SPIPED_KEY_FILE");
    assert.match(failure.message, /there is no such file/);
  }
});

test("an unknown host name is reported before the key file is read", () => {
  const failure = startOf("spiped", ["-F", ...to("nobody.invalid:80")]);
  assert.equal(failure.code, "SPIPED_RESOLVE");
  assert.match(failure.message, /^cannot resolve nobody\.invalid:80: /);
});

test("with -D a missing key file is reported before a name is looked up", () => {
  const failure = startOf("spiped", ["-DF", ...to("nobody.invalid:80")]);
  assert.equal(failure.code, "SPIPED_KEY_FILE");
});

test("an unknown service name is reported as such, not as an unknown host", () => {
  for (const host of ["localhost", "[127.0.0.1]", "nobody.invalid"]) {
    const { code, message } = startOf("spiped", ["-F", ...to(`${host}:no-such-service`)]);
    assert.equal(code, "SPIPED_RESOLVE");
    assert.equal(message, `cannot resolve ${host}:no-such-service: unknown service "no-such-service"`);
  }
});

test("an unknown user is reported before a name is looked up", () => {
  const args = ["-F", ...to("nobody.invalid:80"), "-u", "no such user"];
  const failure = startOf("spiped", args);
  assert.deepEqual([failure.code, failure.message], ["SPIPED_USER", 'there is no user "no such user"']);
});

/** Runs `spiped keygen`. */
async function keygen(path: string): Promise<number> {
  return main({ args: ["keygen", path], variables: {} });
}

test("keygen writes a key and exits with status 0; a second run is refused", async (t) => {
  const path = join(await temporaryFolder(t), "key");
  assert.equal(await keygen(path), 0);
  assert.equal(statSync(path).size, 32);
  assert.equal(statSync(path).mode & 0o7777, 0o600);
  const before = readFileSync(path);
  await rejectsSpipedError(keygen(path), "SPIPED_KEY_FILE", /it exists already/);
  assert.deepEqual(readFileSync(path), before);
});
