// The library's options, from a JavaScript program that passes anything.

import assert from "node:assert/strict";
import { createKey } from "#dist/library/key.js";
import { connectOptions, readOptions, serverOptions, tunnelOptions } from "#dist/library/options.js";
import { Choices, isUnpolluted, outcomeOf, spipedError, type Target } from "../target.js";

const readers = { connect: connectOptions, createServer: serverOptions, createTunnel: tunnelOptions } as const;
const key = createKey(Uint8Array.of(1));
const destroyed = createKey(Uint8Array.of(2));
destroyed.destroy();

export const library: Target = {
  name: "library",
  mostBytes: 128 * 1_024,
  words: ["host:80", "[::1]:1", "/s", "off", "require", "encrypt", "\u0000", "\n", "__proto__", "constructor"],
  run(input) {
    const choices = new Choices(input);
    const caller = choices.of(["connect", "createServer", "createTunnel"] as const);
    const names = [...Object.keys(readers[caller]), "__proto__", "constructor", "toString", "no\nsuch"];
    const options: Record<string, unknown> = choices.bool() ? {} : Object.create(null);
    if (choices.byte() % 4 !== 3) Object.assign(options, { key, target: "host:80", source: "/s", role: "encrypt" });
    if (caller === "createServer" || caller === "connect") {
      for (const name of ["source", "role", ...(caller === "connect" ? [] : ["target"])]) delete options[name];
    }
    while (!choices.isEmpty) {
      const name = choices.of(names);
      Object.defineProperty(options, name, { value: anything(choices), enumerable: true, configurable: true });
    }
    const given = choices.below(50) === 49 ? anything(choices) : options;
    const outcome = outcomeOf(() => readOptions(caller, readers[caller], given));
    isUnpolluted();
    if ("error" in outcome) {
      spipedError(outcome.error, "SPIPED_OPTION", "SPIPED_ADDRESS");
      assert.ok(outcome.error.message.length < 1_000, "it is short");
      return;
    }
    const read = outcome.value as Readonly<Record<string, unknown>>;
    assert.ok(Object.isFrozen(read));
    assert.deepEqual(Object.keys(read), Object.keys(readers[caller]));
    assert.equal(read["key"], key);
    assert.ok(["off", "allow", "require"].includes(read["forwardSecrecy"] as string));
    const timeoutMs = read["timeoutMs"] as number;
    assert.ok(timeoutMs >= 1 && timeoutMs < 2 ** 31);
    for (const name of ["keepAlive", "allowHalfOpen", "proxyProtocol"]) {
      if (name in read) assert.equal(typeof read[name], "boolean");
    }
    const most = read["maxConnections"] as number | undefined;
    assert.ok(most === undefined || (most >= 1 && (most === Infinity || Number.isSafeInteger(most))));
  },
};

class Odd {
  readonly #tag: string;

  constructor(tag: string) {
    this.#tag = tag;
  }

  get [Symbol.toStringTag](): string {
    return this.#tag;
  }
}

function anything(choices: Choices): unknown {
  const all: readonly (() => unknown)[] = [
    () => choices.text(200),
    () => choices.below(65_536) - 10,
    () => choices.byte() / 7,
    () => choices.of([Number.NaN, Infinity, -Infinity, -0, 2 ** 31, 2 ** 53, 1e308, 5n, true, false]),
    () => choices.of([null, undefined, Symbol("x\ny"), key, destroyed, () => 1, new Date(Number.NaN), /x/]),
    () => new Odd(choices.text(80)),
    () => [choices.text(9)],
    () => Object.create(null),
    () => new Proxy({}, {}),
    () => new AbortController().signal,
    () => JSON.parse('{"__proto__": {"polluted": 1}}'),
    () => new String("host:80"),
    () => ({ toString: () => "host:80", valueOf: () => 5 }),
    () => new Uint8Array(choices.below(9)),
  ];
  return choices.of(all)();
}
