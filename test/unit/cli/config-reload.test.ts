// Reloads of a configuration file against a model: any order of requests, edits, slow and failed reads, slow lookups,
// startup with and without -D, and shutdown in the middle.
//
// SPIPED_TEST_RUNS=5000 tries more cases than the test suite does.

import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import fc from "fast-check";
import { ConfigReload } from "#dist/cli/config-reload.js";
import { lookupWithRetries } from "#dist/cli/lookups-at-start.js";
import { DEFAULTS } from "#dist/config/tunnel-config.js";
import type { CheckedConfig, FileTunnel } from "#dist/flags/config-file.js";
import type { SharedKey } from "#dist/native/native.js";
import { parseAddress } from "#dist/net/address.js";
import { InheritedSockets } from "#dist/net/inherited-sockets.js";
import { keyIdOf } from "#dist/protocol/secret.js";
import { Supervisor } from "#dist/service/supervisor.js";
import { limits, until } from "../../support/cleanup.js";
import { memoryLog } from "../support/memory-log.js";
import { completeOne, keyOf, type Slow, SlowSystem } from "../support/slow-system.js";

const runs = { numRuns: Number(process.env["SPIPED_TEST_RUNS"] ?? 150), includeErrorInReport: true };

const KEY_FILES = ["key-0", "key-1"] as const;
type KeyPath = (typeof KEY_FILES)[number];

/** A tunnel of the file: its key file, and a setting that a reload can change. */
interface Wanted {
  readonly key: KeyPath;
  readonly timeoutMs: number;
}

/** A file without mistakes. */
interface Right {
  readonly kind: "right";
  readonly a: Wanted | undefined;
  readonly b: Wanted | undefined;
}

/** What the configuration file says. */
type Contents =
  | Right
  | { readonly kind: "wrong" }
  /** Reading it throws, which is a mistake of ours. */
  | { readonly kind: "broken" };

type Step =
  | { readonly do: "request" }
  | { readonly do: "edit"; readonly contents: Contents }
  | { readonly do: "write key"; readonly path: KeyPath; readonly isGood: boolean }
  /** Something slow completes: a read of the file, of a key, a lookup, or a step of startup. */
  | { readonly do: "complete"; readonly what: "file" | "key" | "lookup" | "startup"; readonly at: number }
  | { readonly do: "shut down" };

const wanted = fc.record({ key: fc.constantFrom(...KEY_FILES), timeoutMs: fc.constantFrom(1_000, 2_000) });
const maybe = fc.option(wanted, { nil: undefined, freq: 3 });
const contents: fc.Arbitrary<Contents> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("right" as const), a: maybe, b: maybe }) },
  { weight: 1, arbitrary: fc.constant({ kind: "wrong" as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: "broken" as const }) },
);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.constant({ do: "request" as const }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("edit" as const), contents }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("write key" as const),
      path: fc.constantFrom(...KEY_FILES),
      isGood: fc.boolean(),
    }),
  },
  {
    weight: 14,
    arbitrary: fc.record({
      do: fc.constant("complete" as const),
      what: fc.constantFrom("file" as const, "key" as const, "lookup" as const, "startup" as const),
      at: fc.nat(3),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ do: "shut down" as const }) },
);

const MISTAKE = { file: "tunnels.toml", line: 1, path: [], message: "a mistake" };

/** One process, and what must be true of it. */
class Trial {
  readonly #system: SlowSystem;
  readonly #supervisor: Supervisor;
  readonly #reload: ConfigReload;
  readonly #files: Slow[] = [];
  readonly #startup: Slow[] = [];
  #contents: Contents;
  /** The contents of the last read of the file. */
  #read: Contents;
  /** The tunnels that must be running. */
  #tunnels: Right;
  /** Whether something that the running reload needs has failed. */
  #hasFailed = false;
  #isReloading = false;
  /** Whether the file has been read since the last request. */
  #isHonored = true;
  #isShutDown = false;
  #hasStarted = false;
  readonly #log = memoryLog();
  #waitingRequests = 0;
  /** The versions of the key files at the last request. */
  #atRequest = new Map<KeyPath, number>();

  constructor(system: SlowSystem, first: Right) {
    this.#system = system;
    this.#contents = first;
    this.#read = first;
    this.#tunnels = first;
    system.startFailed = () => {
      this.#hasFailed = true;
    };
    const { log } = this.#log;
    const inherited = new InheritedSockets({ kind: "nothing", why: "nothing", hint: "nothing" });
    this.#supervisor = new Supervisor(tunnelsOf(first), { log, inherited });
    const config = { process: {}, tunnels: tunnelsOf(first) };
    this.#reload = new ConfigReload(
      { path: "tunnels.toml", config, check: () => this.#check() },
      {
        supervisor: this.#supervisor,
        log,
        record: {
          reloading: () => {
            this.#isReloading = true;
            this.#hasFailed = false;
          },
          needRestart: (keys) => assert.deepEqual(keys, []),
          reloaded: (_, problem) => this.#reloaded(problem),
        },
      },
    );
  }

  get notices(): readonly string[] {
    return this.#log.notices;
  }

  /** As `Service` does. */
  async start(waitsForLookups: boolean): Promise<void> {
    const supervisor = this.#supervisor;
    if (!waitsForLookups) await supervisor.lookup();
    await supervisor.readKeys();
    this.#system.isSlow = true;
    if (waitsForLookups) await lookupWithRetries(supervisor, this.#reload, memoryLog().log);
    else await this.#untilTold();
    if (this.#isShutDown) return;
    supervisor.listen();
    await this.#untilTold();
    if (this.#isShutDown) return;
    await supervisor.start();
    this.#reload.start();
    this.#hasStarted = true;
  }

  #untilTold(): Promise<void> {
    return new Promise((resolve) => this.#startup.push({ complete: resolve }));
  }

  #check(): Promise<CheckedConfig> {
    assert.equal(this.#files.length, 0, "one read at a time");
    const contents = this.#contents;
    this.#read = contents;
    this.#isHonored = true;
    return new Promise((resolve, reject) => {
      const complete = () => {
        if (contents.kind === "broken") reject(new Error("a mistake of ours"));
        else if (contents.kind === "wrong") resolve({ kind: "wrong", mistakes: [MISTAKE], count: 1 });
        else resolve({ kind: "right", config: { process: {}, tunnels: tunnelsOf(contents) } });
      };
      this.#files.push({ complete });
    });
  }

  #reloaded(problem: string | undefined): void {
    const successful = problem === undefined;
    assert.ok(this.#isReloading, "each reload reports once");
    this.#isReloading = false;
    if (!this.#isShutDown) assert.equal(successful, this.#read.kind === "right" && !this.#hasFailed);
    if (successful && this.#read.kind === "right") this.#tunnels = this.#read;
    this.#checkTunnels();
  }

  #checkTunnels(): void {
    const running = this.#supervisor.tunnels.map(({ config, keyFile }) => ({ config, keyFile }));
    const byName = (one: FileTunnel, other: FileTunnel) => (nameOf(one) < nameOf(other) ? -1 : 1);
    assert.deepEqual(running.sort(byName), tunnelsOf(this.#tunnels), "a failed reload changes nothing");
  }

  take(step: Step): void {
    switch (step.do) {
      case "request":
        this.#request();
        break;
      case "edit":
        this.#contents = step.contents;
        break;
      case "write key":
        this.#system.write(step.path, step.isGood);
        break;
      case "complete":
        completeOne(this.#slow[step.what], step.at);
        break;
      case "shut down":
        this.#shutDown();
    }
  }

  get #slow(): Readonly<Record<"file" | "key" | "lookup" | "startup", Slow[]>> {
    const { keys, lookups } = this.#system;
    return { file: this.#files, key: keys, lookup: lookups, startup: this.#startup };
  }

  #request(): void {
    // `Service` requests no reload of the file after that.
    if (this.#isShutDown) return;
    this.#isHonored = false;
    this.#atRequest = new Map(KEY_FILES.map((path) => [path, this.#system.version(path).version]));
    this.#waitingRequests += 1;
    void this.#reload.request().then(() => {
      this.#waitingRequests -= 1;
    });
  }

  #shutDown(): void {
    this.#isShutDown = true;
    void this.#supervisor.drain();
  }

  /** Everything slow completes: the last request has been honored then. */
  async settle(): Promise<void> {
    const completeAll = () => {
      for (const all of Object.values(this.#slow)) while (all.length > 0) completeOne(all, 0);
      if (this.#isShutDown) return this.#waitingRequests === 0;
      return this.#waitingRequests === 0 && this.#hasStarted && !this.#isReloading;
    };
    // Nothing outside this process is waited for.
    for (let turns = 0; turns < 20 || (!completeAll() && turns < 1_000); turns += 1) {
      completeAll();
      await turn();
    }
    assert.ok(completeAll(), `${this.#waitingRequests} requests, reloading: ${this.#isReloading}`);
    if (this.#isShutDown) return;
    assert.ok(this.#isHonored, "the last request is honored");
    this.#checkTunnels();
    for (const { tunnel, keyFile } of this.#supervisor.tunnels) {
      assert.equal(tunnel?.state.name, "listening");
      this.#checkKey(keyFile as KeyPath, tunnel.keys.keys);
    }
  }

  /** The key is at least as new as its file was at the last request, unless the file has been bad. */
  #checkKey(path: KeyPath, keys: readonly { readonly key: SharedKey }[]): void {
    const least = this.#atRequest.get(path) ?? 0;
    const { version: now, isGood } = this.#system.version(path);
    // A later bad file may have been read instead.
    if (!isGood || now !== least) return;
    assert.deepEqual(
      keys.map(({ key }) => keyIdOf(key)),
      [keyIdOf(keyOf(path, now))],
      "the key in use is the file's",
    );
  }

  async end(): Promise<void> {
    this.#isShutDown = true;
    for (const all of Object.values(this.#slow)) while (all.length > 0) completeOne(all, 0);
    await this.#supervisor.drain();
    assert.equal(this.#supervisor.connections, 0);
  }
}

function nameOf({ config }: FileTunnel): string {
  return config.name ?? "";
}

function tunnelsOf({ a, b }: Right): FileTunnel[] {
  const named = [["a", a] as const, ["b", b] as const];
  return named.flatMap(([name, one]) => (one === undefined ? [] : [tunnelOf(name, one)]));
}

function tunnelOf(name: string, { key, timeoutMs }: Wanted): FileTunnel {
  return {
    keyFile: key,
    config: {
      ...DEFAULTS,
      name,
      role: "encrypt",
      source: parseAddress("[127.0.0.1]:0"),
      target: parseAddress(`${name}.test:1`),
      sourceMode: undefined,
      bind: undefined,
      forwardSecrecy: "off",
      keepAlive: true,
      proxyProtocol: false,
      timeoutMs,
    },
  };
}

/** Descriptors of this process. */
function descriptors(): number {
  return process.platform === "linux" ? readdirSync("/proc/self/fd").length : 0;
}

/** Waits until nothing happens any more. */
async function quiet(): Promise<void> {
  for (let turns = 0; turns < 10; turns += 1) await turn();
}

test(
  "one read at a time, the last request is honored, a failed one changes nothing, nothing is left",
  limits,
  async (t) => {
    const system = new SlowSystem(t);
    const once = async (initial: Right, waitsForLookups: boolean, steps: readonly Step[]) => {
      const trial = new Trial(system, initial);
      try {
        void trial.start(waitsForLookups);
        await turn();
        for (const one of steps) {
          trial.take(one);
          await turn();
        }
        await trial.settle();
      } finally {
        await trial.end();
      }
      await quiet();
      assert.equal(system.reset(), 0, "keys that were not destroyed");
    };
    // Creates what a process creates once.
    await once({ kind: "right", a: { key: "key-0", timeoutMs: 1_000 }, b: undefined }, false, []);
    const before = descriptors();
    const first = fc.record({ kind: fc.constant("right" as const), a: wanted, b: maybe });
    const steps = fc.array(step, { maxLength: 40 });
    const requests: Step[] = [{ do: "request" }, { do: "request" }];
    const one: Wanted = { key: "key-0", timeoutMs: 1_000 };
    const examples: [Right, boolean, Step[]][] = [
      // The service starts while a key is still being read.
      [{ kind: "right", a: one, b: undefined }, true, requests],
      // A key has changed; the file wants another key file, which is bad.
      [
        { kind: "right", a: one, b: undefined },
        false,
        [
          { do: "write key", path: "key-0", isGood: true },
          { do: "write key", path: "key-1", isGood: false },
          { do: "edit", contents: { kind: "right", a: { key: "key-1", timeoutMs: 1_000 }, b: undefined } },
          { do: "request" },
        ],
      ],
      // The file cannot be read, and a key has changed.
      [
        { kind: "right", a: one, b: undefined },
        false,
        [
          { do: "write key", path: "key-0", isGood: true },
          { do: "edit", contents: { kind: "broken" } },
          { do: "request" },
        ],
      ],
    ];
    await fc.assert(fc.asyncProperty(first, fc.boolean(), steps, once), { ...runs, examples });
    await until(() => (descriptors() <= before ? true : undefined), "the descriptors to be closed");
  },
);

test("with -D, new names are mentioned only if a reload brings new tunnels", limits, async (t) => {
  const system = new SlowSystem(t);
  const [one, other]: readonly Wanted[] = [
    { key: "key-0", timeoutMs: 1_000 },
    { key: "key-0", timeoutMs: 2_000 },
  ];
  const trial = new Trial(system, { kind: "right", a: one, b: other });
  void trial.start(true);
  await quiet();
  const reload = async (contents: Contents) => {
    const before = trial.notices.length;
    trial.take({ do: "edit", contents });
    trial.take({ do: "request" });
    for (const what of ["file", "key"] as const) {
      await quiet();
      trial.take({ do: "complete", what, at: 0 });
    }
    await quiet();
    return trial.notices.slice(before);
  };
  const resolving = "SIGHUP: resolving the new names; the tunnels listen once all of them resolve";
  const reloaded = (tunnels: string) => `SIGHUP: reloaded tunnels.toml; tunnels: ${tunnels}`;
  assert.deepEqual(await reload({ kind: "right", a: one, b: other }), [reloaded("2 unchanged")]);
  assert.deepEqual(await reload({ kind: "right", a: one, b: undefined }), [reloaded("1 unchanged, 1 removed")]);
  assert.deepEqual(await reload({ kind: "right", a: other, b: undefined }), [reloaded("1 changed"), resolving]);
  await trial.end();
});
