// Loading the addon, and the error if it cannot be loaded.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { SpipedError } from "#dist/errors.js";
import { type AddonExports, addon, hintFor, loadAddon, PREBUILT_PLATFORMS, platformName } from "#dist/native/native.js";
import { root } from "../support/paths.js";

test("the addon is loaded from the first place that has it", () => {
  const tried: string[] = [];
  const loaded = loadAddon(["nowhere", "here", "there"], (path) => {
    tried.push(path);
    if (path === "nowhere") throw new Error("no such file");
    return addon;
  });
  assert.equal(loaded, addon);
  assert.deepEqual(tried, ["nowhere", "here"]);
});

test("if the addon cannot be loaded, the error says what was tried and why each attempt failed", () => {
  const load = (path: string): AddonExports => {
    throw new Error(`${path} is broken\nRequire stack:\n- somewhere`);
  };
  assert.throws(
    () => loadAddon(["/first/one.node", "@second/one"], load),
    (error) => {
      assert.ok(error instanceof SpipedError);
      assert.equal(error.code, "SPIPED_ADDON");
      const [head, ...tried] = error.message.split("\n");
      assert.match(head ?? "", new RegExp(`${platformName()}.*${process.version}`));
      assert.deepEqual(tried, ["  /first/one.node: /first/one.node is broken", "  @second/one: @second/one is broken"]);
      assert.match(error.hint ?? "", /reinstall on this machine/);
      return true;
    },
  );
});

test("the hint names the platform's package, or says to build if there is none", () => {
  assert.match(hintFor("linux-x64-musl"), /the package @spiped\/linux-x64-musl is missing.*--omit=optional/);
  assert.match(hintFor("linux-s390x-gnu"), /no prebuilt package for linux-s390x-gnu; with Rust installed, build it/);
});

test("the platforms with a package are exactly the targets that are built", () => {
  // A target as Rust names it: processor, vendor, system, and the C library or compiler where there are several.
  const processors: Readonly<Record<string, string>> = { x86_64: "x64", aarch64: "arm64" };
  const systems: Readonly<Record<string, string>> = { windows: "win32" };
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { napi: { targets: string[] } };
  const names = manifest.napi.targets.map((target) => {
    const [processor = "", , system = "", abi] = target.split("-");
    return [systems[system] ?? system, processors[processor], ...(abi === undefined ? [] : [abi])].join("-");
  });
  assert.deepEqual([...names].sort(), [...PREBUILT_PLATFORMS].sort());
});

test("the platform's name begins with this platform and this processor", () => {
  assert.ok(platformName().startsWith(`${process.platform}-${process.arch}`));
});

test("the addon has all exports that the program uses", () => {
  const functions = Object.entries(addon).map(([name, value]) => [name, typeof value]);
  for (const name of [
    "ClientHandshake",
    "ServerHandshake",
    "KeyHasher",
    "KeyPair",
    "KeySet",
    "SharedKey",
    "KeyFile",
    "openKeyFile",
    "readKeyFile",
    "listKeyFolder",
    "SessionKeys",
    "Sealer",
    "Opener",
    "Relay",
    "Sockets",
    "eventBytes",
    "localAddress",
    "duplicate",
    "listenTcp",
    "LockedFile",
    "SocketFile",
    "SyslogSocket",
    "canStartThreads",
    "capabilities",
    "dropCapabilities",
    "descriptorLimit",
    "lookUpUser",
    "lookUpGroup",
    "takeSocketError",
    "resolve",
    "sealedLength",
    "maxOpenedLength",
  ]) {
    assert.ok(
      functions.some(([known, type]) => known === name && type === "function"),
      name,
    );
  }
});
