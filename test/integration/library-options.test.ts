// The library's options from JavaScript: anything invalid is one error with its own code that names the option, its
// value, and what is allowed.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import {
  connect,
  createKey,
  createServer,
  createTunnel,
  generateKey,
  type Key,
  readKeyFile,
  SpipedError,
} from "#dist/index.js";
import { afterwards, limits } from "../support/cleanup.js";
import { root } from "../support/programs.js";

const key = createKey(generateKey());
const destroyed = createKey(generateKey());
destroyed.destroy();
const address = "[127.0.0.1]:9";

/** The functions that take options, without their types. */
const functions: Readonly<Record<string, { readonly call: (options: unknown) => unknown; readonly needed: object }>> = {
  connect: { call: (options) => Reflect.apply(connect, undefined, [options]), needed: { key, target: address } },
  createServer: { call: (options) => Reflect.apply(createServer, undefined, [options]), needed: { key } },
  createTunnel: {
    call: (options) => Reflect.apply(createTunnel, undefined, [options]),
    needed: { key, role: "encrypt", source: "[127.0.0.1]:0", target: address },
  },
};

const times = "a number of milliseconds from 1 to 2147483647";
const all = ["connect", "createServer", "createTunnel"];
const keys = "a Key, as readKeyFile and createKey give it";

/** A value that throws on every inspection. */
const throwing = {
  get [Symbol.toStringTag](): string {
    throw new Error("not to be asked");
  },
};

/** Invalid options: the functions that refuse them, the option, its value, and the message after the option's name. */
const refused: ReadonlyArray<readonly [readonly string[], string, unknown, string]> = [
  [all, "key", undefined, `must be ${keys}, not undefined`],
  [all, "key", "the contents of a key file", `must be ${keys}, not a string`],
  [all, "key", Buffer.from("the contents of a key file"), `must be ${keys}, not a Uint8Array`],
  [all, "key", Promise.resolve(key), `must be ${keys}, not a Promise`],
  [all, "key", destroyed, `must be ${keys}, not one that was destroyed`],
  [all, "forwardSecrecy", "required", `must be "off" or "allow" or "require", not "required"`],
  [all, "forwardSecrecy", true, `must be "off" or "allow" or "require", not true`],
  [all, "timeoutMs", 0, `must be ${times}, not 0`],
  [all, "timeoutMs", -1, `must be ${times}, not -1`],
  [all, "timeoutMs", Number.NaN, `must be ${times}, not NaN`],
  [all, "timeoutMs", Number.POSITIVE_INFINITY, `must be ${times}, not Infinity`],
  [all, "timeoutMs", 2 ** 31, `must be ${times}, not 2147483648`],
  [all, "timeoutMs", "5", `must be ${times}, not "5"`],
  [all, "timeoutMs", 5n, `must be ${times}, not a bigint`],
  [all, "timeoutMs", null, `must be ${times}, not null`],
  [all, "keepAlive", "yes", `must be true or false, not "yes"`],
  [all, "keepAlive", 0, "must be true or false, not 0"],
  [all, "signal", new AbortController(), "must be an AbortSignal, not an AbortController"],
  [all, "signal", {}, "must be an AbortSignal, not an Object"],
  [all, "signal", null, "must be an AbortSignal, not null"],
  [["connect", "createTunnel"], "target", undefined, "must be a string, not undefined"],
  [["connect", "createTunnel"], "target", 2_562, "must be a string, not 2562"],
  [["connect", "createTunnel"], "target", new URL("http://x"), "must be a string, not a URL"],
  [["connect", "createTunnel"], "bind", 7, "must be a string, not 7"],
  [["connect", "createServer"], "allowHalfOpen", 1, "must be true or false, not 1"],
  [["createTunnel"], "source", ["x"], "must be a string, not an Array"],
  [all, "keepAlive", { [Symbol.toStringTag]: "forged\nline" }, "must be true or false, not an Object"],
  [all, "keepAlive", throwing, "must be true or false, not an Object"],
  [["createTunnel"], "role", undefined, `must be "encrypt" or "decrypt", not undefined`],
  [["createTunnel"], "role", "client", `must be "encrypt" or "decrypt", not "client"`],
  ...[0, -1, 1.5, Number.NaN, Number.NEGATIVE_INFINITY, 2 ** 60, "5"].map((value) => {
    const words = `must be a whole number from 1, or Infinity, not ${typeof value === "string" ? '"5"' : value}`;
    return [["createServer", "createTunnel"], "maxConnections", value, words] as const;
  }),
  ...[0, -1, Number.NaN, 2 ** 31, "never"].map((value) => {
    const words = `must be ${times}, or Infinity, not ${typeof value === "string" ? '"never"' : value}`;
    return [["createTunnel"], "resolveIntervalMs", value, words] as const;
  }),
  // Read as decimal, they would be unintended permissions.
  ...[660, 600, 777, -1, 0.5, "0660"].map((value) => {
    const words = `must be permissions from 0 to 0o777, in octal as 0o660, not ${JSON.stringify(value)}`;
    return [["createTunnel"], "sourceMode", value, words] as const;
  }),
];

/** The error that a call throws, or that its promise rejects with. */
async function errorOf(call: () => unknown): Promise<SpipedError> {
  try {
    await call();
  } catch (error) {
    assert.ok(error instanceof SpipedError, String(error));
    return error;
  }
  assert.fail("nothing is wrong");
}

for (const [callers, option, value, words] of refused) {
  for (const caller of callers) {
    test(`${caller} refuses ${option} that ${words}`, limits, async () => {
      const { call, needed } = functions[caller] ?? assert.fail();
      const error = await errorOf(() => call({ ...needed, [option]: value }));
      assert.deepEqual([error.code, error.message], ["SPIPED_OPTION", `${option} ${words}`]);
    });
  }
}

for (const caller of all) {
  const { call, needed } = functions[caller] ?? assert.fail();

  test(`${caller} refuses an unknown option, and lists those it has`, limits, async () => {
    const error = await errorOf(() => call({ ...needed, timeout: 5 }));
    assert.deepEqual([error.code, error.message], ["SPIPED_OPTION", `${caller} has no option "timeout"`]);
    assert.match(error.hint ?? "", /^its options are key, forwardSecrecy, timeoutMs, keepAlive, signal\b/);
  });

  test(`${caller} refuses a call without options`, limits, async () => {
    for (const [options, kind] of [
      [undefined, "undefined"],
      [null, "null"],
      ["[::1]:1", `"[::1]:1"`],
    ] as const) {
      const error = await errorOf(() => call(options));
      assert.deepEqual(
        [error.code, error.message],
        ["SPIPED_OPTION", `the first argument of ${caller} must be an object with options, not ${kind}`],
      );
    }
  });

  test(`${caller} does not show a key passed as anything but a Key`, limits, async () => {
    const { message, hint } = await errorOf(() => call({ ...needed, key: "s3cret" }));
    assert.doesNotMatch(`${message} ${hint}`, /s3cret/);
  });
}

test("undefined options have their defaults, and the bounds of ranges are accepted", limits, async (t) => {
  const undefinedOptions = { forwardSecrecy: undefined, timeoutMs: undefined, keepAlive: undefined, signal: undefined };
  const { call } = functions["createServer"] ?? assert.fail();
  call({ key, ...undefinedOptions, maxConnections: undefined, allowHalfOpen: undefined });
  for (const timeoutMs of [1, 1.5, 2 ** 31 - 1]) createServer({ key, timeoutMs });
  for (const maxConnections of [1, Number.MAX_SAFE_INTEGER, Number.POSITIVE_INFINITY]) {
    createServer({ key, maxConnections });
  }
  for (const resolveIntervalMs of [1, 2 ** 31 - 1, Number.POSITIVE_INFINITY]) {
    const tunnel = await createTunnel({
      key,
      role: "encrypt",
      source: "[127.0.0.1]:0",
      target: address,
      resolveIntervalMs,
    });
    afterwards(t, () => tunnel.destroy());
  }
});

test("changing the options object after the call has no effect", limits, async (t) => {
  const options = { key, maxConnections: 1 };
  const server = createServer(options);
  afterwards(t, () => server.destroy());
  options.maxConnections = Number.NaN;
  await server.listen("[127.0.0.1]:0");
  assert.ok(server.address);
});

test("an invalid address has its own code", limits, async () => {
  assert.throws(() => connect({ key, target: "no port" }), { code: "SPIPED_ADDRESS", message: /"no port"/ });
  assert.throws(() => connect({ key, target: address, bind: "/path" }), { code: "SPIPED_ADDRESS" });
  await assert.rejects(createTunnel({ key, role: "encrypt", source: ":1", target: address }), {
    code: "SPIPED_ADDRESS",
  });
  await assert.rejects(createServer({ key }).listen(""), { code: "SPIPED_ADDRESS" });
});

test("the other arguments are checked in the same way", limits, async (t) => {
  const server = createServer({ key });
  const tunnel = await createTunnel({ key, role: "encrypt", source: "[127.0.0.1]:0", target: address });
  const stream = connect({ key, target: address }).on("error", () => undefined);
  afterwards(t, () => tunnel.destroy());
  for (const [call, message] of [
    [() => Reflect.apply(createServer, undefined, [{ key }, "onConnection"]), /^onConnection must be a function/],
    [() => Reflect.apply(server.listen, server, [2_562]), /^source must be a string, not 2562$/],
    [() => Reflect.apply(server.useKey, server, ["x"]), /^key must be a Key/],
    [() => server.useKey(destroyed), /^key must be .* not one that was destroyed$/],
    [() => tunnel.useKey(destroyed), /^key must be .* not one that was destroyed$/],
    [() => Reflect.apply(readKeyFile, undefined, [undefined]), /^path must be a string, not undefined$/],
    [() => Reflect.apply(createKey, undefined, ["s3cret"]), /^contents must be a Uint8Array, not a string$/],
    [() => createKey(new Uint8Array(new SharedArrayBuffer(8))), /^contents must be a Uint8Array/],
    [() => Reflect.apply(stream.setTimeout, stream, ["5"]), /^milliseconds must be a number from 0, not "5"$/],
    [() => stream.setTimeout(-1), /^milliseconds must be a number from 0, not -1$/],
    [() => stream.setTimeout(Number.NaN), /^milliseconds must be a number from 0, not NaN$/],
  ] as const) {
    const error = await errorOf(call);
    assert.equal(error.code, "SPIPED_OPTION");
    assert.match(error.message, message);
  }
});

test("using a destroyed key is reported as such", limits, async (t) => {
  const own: Key = createKey(generateKey());
  const server = createServer({ key });
  afterwards(t, () => server.destroy());
  const { address: target = "" } = await server.listen("[127.0.0.1]:0");
  const stream = connect({ target, key: own });
  assert.equal(own.destroyed, false);
  own.destroy();
  assert.equal(own.destroyed, true);
  const error = await new Promise<SpipedError>((resolve) => stream.once("error", resolve));
  assert.deepEqual([error.code, error.message], ["SPIPED_OPTION", `key must be ${keys}, not one that was destroyed`]);
  await assert.rejects(createServer({ key: createKey(generateKey()) }).listen("no address"), {
    code: "SPIPED_ADDRESS",
  });
});

test("no library message names a command-line flag", () => {
  const found: string[] = [];
  for (const entry of readdirSync(join(root, "src"), { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    // The other files' messages are for users of the command line and readers of the log.
    if (!/\/src\/(?:(?:config|library|native|net|protocol|tunnel)\/.*|[^/]*)\.ts$/.test(path)) continue;
    const code = readFileSync(path, "utf8").replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, "");
    for (const [text] of code.matchAll(/(["`])(?:(?!\1)[^\\\n]|\\.)*\1/g)) {
      // npm's flags, in the hint about a missing addon.
      const words = text.replace("--omit=optional", "");
      if (/(^|[\s("`'])--?[a-zA-Z][a-z-]*\b/.test(words)) found.push(`${entry.name}: ${text}`);
    }
  }
  assert.deepEqual(found, []);
});
