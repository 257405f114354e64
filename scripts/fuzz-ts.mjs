// node scripts/fuzz-ts.mjs [seconds] [target ...]: runs the fuzz targets of test/fuzz for that long each, one minute by
// default. Needs only npm run build: V8 reports the code coverage of an input. Inputs that reach new code are kept in
// build/fuzz and mutated further. A failure ends the run, and the input is written to build/fuzz/findings.

import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync, writeSync } from "node:fs";
import { Session } from "node:inspector/promises";
import { inspect } from "node:util";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";

const root = new URL("..", import.meta.url);
const { corpusPath, corpusText, readCorpus } = await import(new URL("build/test/fuzz/corpus.js", root));
const { mutated, Random } = await import(new URL("build/test/fuzz/mutate.js", root));

/** Longer than any input takes, even on a busy machine. */
const HANG_MS = 20_000;
/** The same for targets that wait for other processes; their own limits say more. */
const LONG_HANG_MS = 90_000;
/** How long a batch runs before coverage is read. */
const BATCH_MS = 100;
/** Shared with the thread that looks for hangs: when the input began, its length, and how long it may take. */
const HEADER_BYTES = 12;
/** The longest input. */
const MOST_BYTES = 1 << 20;

const folder = new URL("build/fuzz/", root);
mkdirSync(new URL("findings/", folder), { recursive: true });

async function main() {
  const [first = "60", ...names] = process.argv.slice(2);
  const seconds = Number(first);
  if (!Number.isInteger(seconds) || seconds < 1) fail("usage: node scripts/fuzz-ts.mjs [seconds] [target ...]");
  const { targets } = await import(new URL("build/test/fuzz/targets.js", root));
  const unknown = names.find((wanted) => !targets.some(({ name }) => name === wanted));
  if (unknown !== undefined) fail(`there is no ${unknown}, only ${targets.map(({ name }) => name).join(", ")}`);
  const chosen = targets.filter(({ name }) => names.length === 0 || names.includes(name));
  // Uncaught errors are findings too.
  const shared = new SharedArrayBuffer(HEADER_BYTES + MOST_BYTES);
  const watcher = new Worker(new URL(import.meta.url), { workerData: { shared } });
  watcher.unref();
  let found = 0;
  for (const target of chosen) if (!(await fuzz(target, seconds, shared))) found += 1;
  if (found > 0) fail(`${found} of ${chosen.length} targets found something`);
  console.log(`${chosen.length} targets found nothing in ${seconds} s each`);
  process.exit(0);
}

/** @returns Whether nothing was found. */
async function fuzz(target, seconds, shared) {
  const header = new Int32Array(shared, 0, 3);
  const room = new Uint8Array(shared, HEADER_BYTES);
  header[2] = target.isLong ? LONG_HANG_MS : HANG_MS;
  const keptFile = new URL(`${target.name}.json`, folder);
  const corpus = [...readCorpus(corpusPath(target.name)), ...readCorpus(keptFile.pathname)];
  corpus.push(new Uint8Array(), ...target.words.map((word) => Buffer.from(word)));
  const kept = [];
  const seed = Number(process.env.FUZZ_SEED ?? Date.now() & 0x7fffffff);
  const random = new Random(seed);
  const coverage = await Coverage.start();
  const started = Date.now();
  let runs = 0;
  let current = new Uint8Array();
  const one = async (input) => {
    current = input;
    runs += 1;
    header[1] = Math.min(input.length, MOST_BYTES);
    room.set(input.subarray(0, MOST_BYTES));
    Atomics.store(header, 0, Math.floor(performance.now()) + 1);
    await target.run(input);
    Atomics.store(header, 0, 0);
  };
  const strayed = (error) => finding(target, current, error) ?? process.exit(1);
  process.on("uncaughtException", strayed).on("unhandledRejection", strayed);
  try {
    for (const input of [...corpus]) {
      await one(input);
      if (random.below(4) === 0) for (const long of longOnes(input, target)) await one(long);
    }
    await coverage.isNew();
    while (Date.now() - started < seconds * 1_000) {
      const batch = [];
      const until = performance.now() + BATCH_MS;
      while (performance.now() < until) {
        // Prefer recent inputs, which were mutated least.
        const from = random.below(3) === 0 ? corpus.slice(-20) : corpus;
        const input = mutated(random.of(from), target.words, corpus, random);
        batch.push(input);
        await one(input);
      }
      if (!(await coverage.isNew())) continue;
      for (const input of await newOnes(batch, one, coverage)) {
        corpus.push(input);
        kept.push(input);
        for (const long of longOnes(input, target)) await one(long);
      }
    }
    const { heapUsed } = process.memoryUsage();
    const megabytes = Math.round(heapUsed / 2 ** 20);
    console.log(
      `${target.name}: ${runs} inputs in ${seconds} s, ${corpus.length} kept, seed ${seed}, heap ${megabytes} MiB: nothing`,
    );
    return true;
  } catch (error) {
    finding(target, current, error);
    return false;
  } finally {
    Atomics.store(header, 0, 0);
    if (kept.length > 0) writeFileSync(keptFile, corpusText([...readCorpus(keptFile.pathname), ...kept]));
    process.off("uncaughtException", strayed).off("unhandledRejection", strayed);
    await target.close?.();
    await coverage.stop();
  }
}

/** The input repeated, and its last byte repeated and then another: what makes a parser with backtracking slow. */
function longOnes(input, { mostBytes }) {
  if (mostBytes === undefined || input.length === 0) return [];
  const last = input.subarray(-1);
  const behind = mostBytes - input.length - 1;
  return [
    Buffer.alloc(mostBytes, input),
    Buffer.concat([input, Buffer.alloc(behind, last), Buffer.from("!")]),
    Buffer.concat([Buffer.alloc(behind, input), Buffer.from("\xff", "latin1")]),
  ];
}

/** The inputs of a batch that reach new code. By bisection, since reading coverage takes longer than most inputs. */
async function newOnes(batch, one, coverage) {
  coverage.forgetLast();
  const found = [];
  const search = async (part) => {
    for (const input of part) await one(input);
    if (!(await coverage.isNew())) return;
    if (part.length === 1) {
      found.push(part[0]);
      return;
    }
    coverage.forgetLast();
    const middle = Math.floor(part.length / 2);
    await search(part.slice(0, middle));
    await search(part.slice(middle));
  };
  await search(batch);
  return found;
}

/** The blocks of our code that have run. */
class Coverage {
  #session = new Session();
  #seen = new Set();
  #last = [];

  static async start() {
    const coverage = new Coverage();
    coverage.#session.connect();
    await coverage.#session.post("Profiler.enable");
    await coverage.#session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: true });
    return coverage;
  }

  /** Whether any block has run for the first time since the last call. */
  async isNew() {
    const { result } = await this.#session.post("Profiler.takePreciseCoverage");
    this.#last = [];
    for (const { url, functions } of result) {
      if (!/\/dist\/|smol-toml|commander/.test(url)) continue;
      for (const { ranges } of functions) {
        for (const { startOffset, endOffset, count } of ranges) {
          const key = `${url}:${startOffset}:${endOffset}`;
          if (count === 0 || this.#seen.has(key)) continue;
          this.#seen.add(key);
          this.#last.push(key);
        }
      }
    }
    return this.#last.length > 0;
  }

  forgetLast() {
    for (const key of this.#last) this.#seen.delete(key);
  }

  async stop() {
    await this.#session.post("Profiler.stopPreciseCoverage");
    this.#session.disconnect();
  }
}

function finding(target, input, error) {
  const name = createHash("sha256").update(input).digest("hex").slice(0, 12);
  const file = new URL(`findings/${target.name}-${name}`, folder);
  writeFileSync(file, input);
  const start = JSON.stringify(Buffer.from(input).toString("latin1").slice(0, 400));
  // At once: what a worker thread gives to console is lost when the process is killed.
  writeSync(2, `${target.name}: FOUND with ${file.pathname}\n${start}\n${inspect(error)}\n`);
}

/** In the other thread: reports an input that hangs. */
function watch() {
  const header = new Int32Array(workerData.shared, 0, 3);
  let before = 0;
  let since = 0;
  setInterval(() => {
    const now = Atomics.load(header, 0);
    if (now === 0 || now !== before) {
      before = now;
      since = Date.now();
      return;
    }
    if (Date.now() - since < header[2]) return;
    const input = Buffer.from(new Uint8Array(workerData.shared, HEADER_BYTES, header[1]));
    finding({ name: "hang" }, input, `an input took more than ${header[2] / 1_000} s`);
    process.kill(process.pid, "SIGKILL");
  }, 500);
  parentPort.unref();
}

function fail(message) {
  console.error(`fuzz-ts: ${message}`);
  process.exit(1);
}

if (isMainThread) await main();
else watch();
