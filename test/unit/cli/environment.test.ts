// Options from the environment: the command line overrides them.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Command } from "commander";
import { applyEnvironment, variableOf } from "#dist/cli/environment.js";
import { createCommand, parseArguments } from "#dist/cli/options.js";
import { SpipedError } from "#dist/errors.js";
import { parseLimit } from "#dist/flags/values.js";

/** A command with an option of each kind, and options that exclude each other. */
function command(): Command {
  return createCommand("prog", "")
    .option("-e, --encrypt", "a flag")
    .option("-d, --decrypt", "a flag against it")
    .option("-f, --without-forward-secrecy", "a flag")
    .option("-g, --require-forward-secrecy", "a flag against it")
    .option("-r, --resolve-interval <seconds>", "a number", "60")
    .option("-R, --resolve-once", "a flag against it")
    .option("-F, --foreground", "a flag")
    .option("-j, --no-keep-alive", "a flag that turns off")
    .option("-t, --target <address>", "a word")
    .option("-n, --max-connections <count>", "a number", parseLimit("-n", 1_000), 100);
}

type Variables = Readonly<Record<string, string | undefined>>;

function optionsOf(args: readonly string[], environment: Variables): Readonly<Record<string, unknown>> {
  const it = command();
  assert.equal(parseArguments(it, args), undefined);
  applyEnvironment(it, environment);
  return it.opts();
}

const none = { resolveInterval: "60", keepAlive: true, maxConnections: 100 };

test("the environment variable of an option is SPIPED_ and its long name in capitals", () => {
  assert.deepEqual(command().options.map(variableOf), [
    "SPIPED_ENCRYPT",
    "SPIPED_DECRYPT",
    "SPIPED_WITHOUT_FORWARD_SECRECY",
    "SPIPED_REQUIRE_FORWARD_SECRECY",
    "SPIPED_RESOLVE_INTERVAL",
    "SPIPED_RESOLVE_ONCE",
    "SPIPED_FOREGROUND",
    "SPIPED_NO_KEEP_ALIVE",
    "SPIPED_TARGET",
    "SPIPED_MAX_CONNECTIONS",
  ]);
});

for (const [environment, options] of [
  [{}, none],
  [{ SPIPED_FOREGROUND: undefined }, none],
  [{ FOREGROUND: "1", spiped_foreground: "1", SPIPED_F: "1", SPIPED_OTHER: "wrong" }, none],
  [{ SPIPED_FOREGROUND: "1" }, { ...none, foreground: true }],
  [{ SPIPED_FOREGROUND: "true" }, { ...none, foreground: true }],
  [{ SPIPED_FOREGROUND: "yes" }, { ...none, foreground: true }],
  [{ SPIPED_FOREGROUND: "0" }, none],
  [{ SPIPED_FOREGROUND: "false" }, none],
  [{ SPIPED_FOREGROUND: "no" }, none],
  [{ SPIPED_NO_KEEP_ALIVE: "1" }, { ...none, keepAlive: false }],
  [{ SPIPED_NO_KEEP_ALIVE: "0" }, none],
  [{ SPIPED_TARGET: "a:1" }, { ...none, target: "a:1" }],
  [{ SPIPED_MAX_CONNECTIONS: "7" }, { ...none, maxConnections: 7 }],
  [{ SPIPED_MAX_CONNECTIONS: "0" }, { ...none, maxConnections: Number.POSITIVE_INFINITY }],
  [{ SPIPED_RESOLVE_INTERVAL: "5" }, { ...none, resolveInterval: "5" }],
  [
    { SPIPED_ENCRYPT: "1", SPIPED_DECRYPT: "1" },
    { ...none, encrypt: true, decrypt: true },
  ],
  [{ SPIPED_VERSION: "wrong", SPIPED_HELP: "wrong" }, none],
] as const satisfies ReadonlyArray<readonly [Variables, unknown]>) {
  test(`the environment variables ${JSON.stringify(environment)} are accepted`, () => {
    assert.deepEqual(optionsOf([], environment), options);
  });
}

for (const [args, environment, options] of [
  [["-F"], { SPIPED_FOREGROUND: "wrong" }, { ...none, foreground: true }],
  [["-F"], { SPIPED_FOREGROUND: "no" }, { ...none, foreground: true }],
  [["-j"], { SPIPED_NO_KEEP_ALIVE: "no" }, { ...none, keepAlive: false }],
  [["-n5"], { SPIPED_MAX_CONNECTIONS: "wrong" }, { ...none, maxConnections: 5 }],
  [["-n100"], { SPIPED_MAX_CONNECTIONS: "7" }, none],
  [["-t", "a:1"], { SPIPED_TARGET: "b:2" }, { ...none, target: "a:1" }],
  [["-e"], { SPIPED_DECRYPT: "1" }, { ...none, encrypt: true }],
  [["-d"], { SPIPED_ENCRYPT: "wrong" }, { ...none, decrypt: true }],
  [["-f"], { SPIPED_REQUIRE_FORWARD_SECRECY: "1" }, { ...none, withoutForwardSecrecy: true }],
  [["-g"], { SPIPED_WITHOUT_FORWARD_SECRECY: "1" }, { ...none, requireForwardSecrecy: true }],
  [["-R"], { SPIPED_RESOLVE_INTERVAL: "5" }, { ...none, resolveOnce: true }],
  [["-r5"], { SPIPED_RESOLVE_ONCE: "1" }, { ...none, resolveInterval: "5" }],
  [
    ["-e"],
    { SPIPED_TARGET: "a:1", SPIPED_FOREGROUND: "1" },
    { ...none, encrypt: true, target: "a:1", foreground: true },
  ],
] as const satisfies ReadonlyArray<readonly [readonly string[], Variables, unknown]>) {
  test(`${args.join(" ")} on the command line overrides ${JSON.stringify(environment)}`, () => {
    assert.deepEqual(optionsOf(args, environment), options);
  });
}

for (const variable of ["SPIPED_FOREGROUND", "SPIPED_NO_KEEP_ALIVE", "SPIPED_ENCRYPT"]) {
  for (const value of ["2", "TRUE", "Yes", "on", " 1", "01"]) {
    test(`${variable}=${JSON.stringify(value)} is refused; the message names both and says what to write`, () => {
      assert.throws(
        () => optionsOf([], { [variable]: value }),
        (error) => {
          assert.ok(error instanceof SpipedError);
          assert.equal(error.code, "SPIPED_USAGE");
          assert.equal(error.message, `bad value of ${variable}: ${JSON.stringify(value)}`);
          assert.match(error.hint ?? "", /^write 1, true or yes; or 0, false or no$/);
          return true;
        },
      );
    });
  }
}

test("a bad value gets the message and hint of its option, with the name of the environment variable", () => {
  assert.throws(
    () => optionsOf([], { SPIPED_MAX_CONNECTIONS: "many" }),
    (error) => {
      assert.ok(error instanceof SpipedError);
      assert.equal(error.code, "SPIPED_USAGE");
      assert.equal(error.message, 'bad number for -n: "many" (from SPIPED_MAX_CONNECTIONS)');
      assert.match(error.hint ?? "", /^write a whole number/);
      return true;
    },
  );
});

test("an unexpected error in an option's parser is passed on unchanged", () => {
  const it = createCommand("prog", "").option("--broken <x>", "", () => {
    throw new TypeError("not a function");
  });
  parseArguments(it, []);
  assert.throws(() => applyEnvironment(it, { SPIPED_BROKEN: "x" }), TypeError);
});

for (const [args, environment, warnings] of [
  [["-t", "a:1"], { SPIPED_TARGT: "b:2" }, ["SPIPED_TARGT, SPIPED_TARGET"]],
  [
    ["-e"],
    { SPIPED_DECRIPT: "1", SPIPED_ENCRIPT: "1" },
    ["SPIPED_DECRIPT, SPIPED_DECRYPT", "SPIPED_ENCRIPT, SPIPED_ENCRYPT"],
  ],
  // A script's own variable, as in `-t "$SPIPED_DESTINATION"`.
  [["-t", "a:1"], { SPIPED_DESTINATION: "a:1" }, []],
  [["-t", "a:1"], { SPIPED_TARGET: "b:2" }, []],
  // Set by Kubernetes for services called spiped and spiped-targt; and ours.
  [
    ["-t", "a:1"],
    {
      SPIPED_PORT: "tcp://10.0.0.1:80",
      SPIPED_TARGT_SERVICE_HOST: "10.0.0.1",
      SPIPED_TARGT_PORT_80_TCP: "tcp://10.0.0.1:80",
    },
    [],
  ],
  [["-t", "a:1"], { SPIPED_INTERNAL_SERVICE: "x", SPIPED_RELAY: "off" }, []],
] as const satisfies ReadonlyArray<readonly [readonly string[], Variables, readonly string[]]>) {
  test(`${args.join(" ")} with ${JSON.stringify(environment)} leads to ${warnings.length} warnings`, () => {
    const it = command();
    assert.equal(parseArguments(it, args), undefined);
    const expected = warnings.map((names) => {
      const [variable, meant] = names.split(", ");
      return `unknown variable ${variable} is ignored: did you mean ${meant}, which the command line overrides?`;
    });
    assert.deepEqual(applyEnvironment(it, environment), expected);
  });
}
