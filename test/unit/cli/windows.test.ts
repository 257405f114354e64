// Options for features that Windows lacks: each is refused with a message that says so.

import assert from "node:assert/strict";
import { randomFillSync } from "node:crypto";
import { chmodSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { main as spipe } from "#dist/cli/spipe.js";
import { main as spiped } from "#dist/cli/spiped.js";
import { readKeyFile } from "#dist/config/key-file.js";
import { generateKeyFile } from "#dist/config/new-key-file.js";
import { addon } from "#dist/native/native.js";
import { parseAddress } from "#dist/net/address.js";
import { afterwards, temporaryFolder } from "../../support/cleanup.js";
import { rejectsSpipedError } from "../support/errors.js";
import { onPlatform } from "../support/platform.js";

const address = "[127.0.0.1]:9";
const common = ["-e", "-t", address, "-k", "/nowhere/key"];
const args = [...common, "-s", "[127.0.0.1]:10"];

/** Runs the command with an empty environment. */
const start = (command: typeof spiped, args: readonly string[]) => Promise.resolve(command({ args, variables: {} }));

for (const [flags, code, message] of [
  [args, "SPIPED_USAGE", /there are no daemons on Windows/],
  [[...args, "-D"], "SPIPED_USAGE", /there are no daemons on Windows/],
  [[...args, "-p", "pid"], "SPIPED_USAGE", /there are no daemons on Windows/],
  [[...args, "-F", "--syslog"], "SPIPED_USAGE", /there is no syslog on Windows/],
  [[...args, "-F", "--source-mode", "0660"], "SPIPED_USAGE", /for UNIX sockets, and Windows has none/],
  [[...common, "-F", "-s", "/run/s"], "SPIPED_ADDRESS", /no UNIX sockets on Windows/],
  [[...args, "-F"], "SPIPED_KEY_FILE", /there is no such file/],
] as const) {
  test(`on Windows, spiped ${flags.slice(4).join(" ")} is an error: ${message.source}`, async (t) => {
    onPlatform(t, "win32");
    await rejectsSpipedError(start(spiped, flags), code, message);
  });
}

test("on Windows, the hint for a bad address names no UNIX socket", (t) => {
  onPlatform(t, "win32");
  assert.throws(() => parseAddress("C:\\socket"), { hint: "write [IPv4]:port, [IPv6]:port or host:port" });
});

test("on Windows, closing the console stops spiped instead of reloading the keys", async (t) => {
  onPlatform(t, "win32");
  const path = join(await temporaryFolder(t), "key");
  generateKeyFile(path, (memory) => memory.fill(1));
  const listens = new Promise<void>((resolve) => {
    t.mock.method(addon.LogWriter.prototype, "write", (text: string) => {
      if (text.includes("listening on ")) resolve();
    });
  });
  const status = start(spiped, ["-F", "-e", "-s", "[127.0.0.1]:0", "-t", address, "-k", path]);
  await listens;
  process.emit("SIGHUP", "SIGHUP");
  assert.equal(await status, 0);
});

test("on Windows, spipe refuses a UNIX socket as its target", async (t) => {
  onPlatform(t, "win32");
  await rejectsSpipedError(
    start(spipe, ["-t", "/run/s", "-k", "/nowhere/key"]),
    "SPIPED_ADDRESS",
    /no UNIX sockets on Windows/,
  );
});

test("if the system has no users, -u says so", async (t) => {
  const { setuid } = process;
  Reflect.deleteProperty(process, "setuid");
  afterwards(t, () => Reflect.set(process, "setuid", setuid));
  await rejectsSpipedError(
    start(spiped, [...args, "-F", "-u", "nobody"]),
    "SPIPED_USER",
    /this system has no such users/,
  );
});

test("on Windows, permissions of a key file cause no warning", async (t) => {
  const path = join(await temporaryFolder(t), "key");
  generateKeyFile(path, randomFillSync);
  chmodSync(path, 0o644);
  const before = await readKeyFile(path);
  before.key.destroy();
  assert.equal(before.warnings.length, 1);
  onPlatform(t, "win32");
  const { key, warnings } = await readKeyFile(path);
  key.destroy();
  assert.deepEqual(warnings, []);
});
