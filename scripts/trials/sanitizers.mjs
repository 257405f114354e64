// Runs the tests of the crates under AddressSanitizer with leak detection, those with threads under ThreadSanitizer,
// the tests of the tunnel in Node.js with the addon under AddressSanitizer, and both ends under valgrind's memcheck.
// First, each tool must find planted mistakes (planted.rs). Linux on x86-64 only.
//
//     node scripts/trials/sanitizers.mjs [planted | rust-address | rust-thread | addon-address | addon-memcheck]...
//     node scripts/trials/sanitizers.mjs addon-address --tests=integration/ends     only these, names separated by commas
//
// Needs gcc, valgrind and `rustup toolchain install nightly --component rust-src`. Builds below target/sanitizers.

import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join, relative } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { cleanUpAtExit, end, freePort, listening, start } from "../support/processes.mjs";

process.chdir(fileURLToPath(new URL("../..", import.meta.url)));
cleanUpAtExit();

const HOST = "x86_64-unknown-linux-gnu";
const target = join(process.cwd(), "target/sanitizers");
const addonName = "spiped.linux-x64-gnu.node";
const planted = "scripts/trials/sanitizers/planted.rs";

// ThreadSanitizer needs an instrumented standard library: it reports what the library's locks and channels protect as
// races otherwise. AddressSanitizer misses only mistakes of the library itself, so the library is not rebuilt for it.
const flags = {
  address: "-Zsanitizer=address",
  thread: "-Zsanitizer=thread",
};
/** AddressSanitizer puts red zones around variables, so measurements of the stack do not hold. */
const measuresTheStack = ["--skip", "no_packet_uses_more_stack"];

/** Tests move megabytes through a debug build that checks each access to memory. */
const TEST_PATIENCE = 10;

/** Tests that use the addon, without those that measure memory or time, or start processes as other users. */
const allAddonTests = [
  ...["native", "protocol", "tunnel", "library"].map((name) => `unit/${name}`),
  ...["transfers", "ends", "resets-and-ends", "deaths", "library", "library-streams"].map(
    (name) => `integration/${name}`,
  ),
];

const parts = {
  planted: findPlanted,
  "rust-address": () => runCargoTests("address", ["--workspace"], measuresTheStack),
  "rust-thread": () => runCargoTests("thread", ["-p", "spiped-relay", "-p", "spiped-sockets", "--tests"], []),
  "addon-address": runAddonTests,
  "addon-memcheck": runUnderMemcheck,
};

const words = process.argv.slice(2);
const isTests = (word) => word.startsWith("--tests=");
const chosen = words.filter((word) => !isTests(word));
const addonTests = words.find(isTests)?.slice("--tests=".length).split(",") ?? allAddonTests;
for (const name of addonTests)
  if (!allAddonTests.includes(name)) fail(`there is no ${name}, only ${allAddonTests.join(", ")}`);
for (const name of chosen)
  if (!(name in parts)) fail(`there is no part ${name}, only ${Object.keys(parts).join(", ")}`);
mkdirSync(target, { recursive: true });
for (const [name, run] of Object.entries(parts)) {
  if (chosen.length > 0 && !chosen.includes(name)) continue;
  const startedAt = performance.now();
  const found = await run();
  console.log(`${name}: ${found}, ${Math.round((performance.now() - startedAt) / 1_000)} s`);
}

/** Checks that each tool finds mistakes of its kind. */
function findPlanted() {
  const build = (file, ...args) =>
    must("rustc", ["+nightly", "-O", "-g", "--edition=2024", "-o", at(file), ...args, planted]);
  build("planted-address", flags.address);
  build("planted-thread", flags.thread, "-Cunsafe-allow-abi-mismatch=sanitizer");
  build("planted-address.node", flags.address, "--crate-type=cdylib");
  build("planted.node", "--crate-type=cdylib");
  const load = (file) => [process.execPath, "-e", `require(${JSON.stringify(at(file))})`];
  const tried = [];
  const expect = (what, output, pattern) => {
    if (!pattern.test(output)) fail(`${what} was not found: ${output.slice(-2_000)}`);
    tried.push(what);
  };
  const names = {
    "use-after-free": /heap-use-after-free/,
    overflow: /heap-buffer-overflow/,
    leak: /detected memory leaks/,
  };
  for (const [mistake, pattern] of Object.entries(names)) {
    expect(`${mistake} of a program`, outputOf([at("planted-address"), mistake]), pattern);
    if (mistake === "leak") continue;
    const env = { PLANTED: mistake, ...addressSanitizer() };
    expect(`${mistake} of an addon`, outputOf(load("planted-address.node"), env), pattern);
  }
  expect("race of a program", outputOf([at("planted-thread"), "race"]), /ThreadSanitizer: data race/);
  for (const [mistake, kind] of [
    ["use-after-free", "InvalidRead"],
    ["leak", "Leak_DefinitelyLost"],
  ]) {
    const file = at(`planted-${mistake}.xml`);
    outputOf([...memcheck(file), ...load("planted.node")], { PLANTED: mistake });
    expect(`${mistake} of an addon in valgrind`, errorsIn(file, "planted.node").join("\n"), new RegExp(kind));
  }
  return `${tried.length} planted mistakes found`;
}

function runCargoTests(sanitizer, crates, more) {
  const args = ["test", ...crates, "--no-fail-fast", ...built(sanitizer), "--", ...more];
  const { status, stdout } = cargo(sanitizer, args, ["ignore", "pipe", "inherit"]);
  const passed = [...stdout.matchAll(/^test result: ok\. (\d+) passed/gm)].reduce(
    (sum, [, count]) => sum + Number(count),
    0,
  );
  if (status !== 0 || passed === 0) fail(`${stdout.slice(-5_000)}\nthe tests fail under ${sanitizer} sanitizer`);
  return `${passed} tests, nothing found`;
}

function runAddonTests() {
  if (cargo("address", ["build", "-p", "spiped-napi", ...built("address")], "inherit").status !== 0)
    fail("the addon is not built");
  // A separate tree, so that this one keeps its own addon.
  const tree = at("tree");
  rmSync(tree, { recursive: true, force: true });
  for (const name of ["bin", "build", "dist", "package.json", "test/vectors", "scripts/build-addon.mjs"]) {
    cpSync(name, join(tree, name), { recursive: true });
  }
  symlinkSync(join(process.cwd(), "node_modules"), join(tree, "node_modules"));
  cpSync(at(`address/${HOST}/debug/libspiped_napi.so`), join(tree, "native", addonName));
  const files = addonTests.flatMap((name) => testsOf(join(tree, "build/test"), name));
  // A build folder keeps the tests of sources that were renamed. `build-addon` would replace the addon.
  const chosenFiles = files.filter((file) => existsSync(sourceOf(file)) && !file.endsWith("build-addon.test.js"));
  const reports = at("reports");
  rmSync(reports, { recursive: true, force: true });
  mkdirSync(reports);
  const { status, stdout } = spawnSync(
    process.execPath,
    ["--test", "--test-reporter=tap", "--test-concurrency=2", ...chosenFiles],
    {
      cwd: tree,
      env: { ...process.env, ...addressSanitizer(join(reports, "report")), TEST_PATIENCE: String(TEST_PATIENCE) },
      encoding: "utf8",
      maxBuffer: 1 << 28,
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  const found = readdirSync(reports).map((name) => readFileSync(join(reports, name), "utf8"));
  if (found.length > 0) fail(found.join("\n"));
  writeFileSync(at("addon-address.tap"), stdout);
  const [, passed] = /^# pass (\d+)$/m.exec(stdout) ?? [];
  if (status !== 0 || !(Number(passed) > 0)) {
    const failed = stdout.match(/^ *not ok .*(?:\n +---\n(?:.*\n)*? +\.\.\.)?/gm) ?? [];
    fail(`${failed.join("\n")}\n${passed} tests pass, these fail; all results are in ${at("addon-address.tap")}`);
  }
  return `${passed} tests of ${chosenFiles.length} files, nothing found`;
}

/** Both ends with the release addon: relay and pumps, with and without -f, and connections that are cut off. */
async function runUnderMemcheck() {
  const keyFile = at("key");
  writeFileSync(keyFile, "k".repeat(32), { mode: 0o600 });
  let connections = 0;
  let bytes = 0;
  const service = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => undefined).pipe(socket);
  });
  await once(service.listen(0, "127.0.0.1"), "listening");
  for (const [index, { relay, more }] of [
    { relay: "on", more: [] },
    { relay: "off", more: [] },
    { relay: "on", more: ["-f"] },
  ].entries()) {
    const [near, far] = [await freePort(), await freePort()];
    const startEnd = (side, source, to) => {
      const file = at(`memcheck-${index}${side}.xml`);
      const args = ["-F", side, "-s", `[127.0.0.1]:${source}`, "-t", `[127.0.0.1]:${to}`, "-k", keyFile, "-o", "100"];
      const command = [...memcheck(file), process.execPath, "bin/spiped.js", ...args, ...more];
      return { file, child: start(["env", `SPIPED_RELAY=${relay}`, ...command]), source };
    };
    const ends = [startEnd("-d", far, service.address().port), startEnd("-e", near, far)];
    for (const { source, child } of ends) await untilListening(source, child);
    for (const lengthBytes of [1, 1_024, 1_061, 70_000]) {
      if ((await echo(near, lengthBytes)) !== lengthBytes) fail(`${lengthBytes} bytes did not come back`);
      connections += 1;
      bytes += 2 * lengthBytes;
    }
    for (const port of [near, far]) await breakOff(port);
    connections += 2;
    for (const { child, file } of ends) {
      child.kill("SIGTERM");
      await Promise.race([child.ended, sleep(200_000)]);
      const found = errorsIn(file, addonName);
      await end(child);
      if (child.exitCode !== 0) fail(`an end under valgrind exited with ${child.exitCode}: ${child.failure}`);
      if (found.length > 0) fail(found.join("\n\n"));
    }
  }
  service.close();
  return `${connections} connections, ${bytes} bytes, nothing found`;
}

async function untilListening(port, child) {
  // An end takes up to a minute to start under valgrind.
  for (let tries = 0; tries < 20; tries += 1) {
    try {
      return await listening(port, child);
    } catch (error) {
      if (child.exitCode !== null || tries === 19) throw error;
    }
  }
}

/** @returns How many bytes came back. */
async function echo(port, lengthBytes) {
  const socket = connect(port, "127.0.0.1");
  socket.end(Buffer.alloc(lengthBytes, "x"));
  let count = 0;
  for await (const piece of socket) count += piece.length;
  return count;
}

/** Sends data, or what the far end takes for a handshake, and resets the connection. */
async function breakOff(port) {
  const socket = connect(port, "127.0.0.1").on("error", () => undefined);
  socket.write(Buffer.alloc(5_000, "y"));
  await sleep(2_000);
  socket.resetAndDestroy();
}

/** The errors valgrind reports in one module. */
function errorsIn(file, module) {
  const errors = readFileSync(file, "utf8").match(/<error>.*?<\/error>/gs) ?? [];
  return errors.filter((error) => error.includes(`${module}</obj>`) && !isOfLivingHandle(error));
}

/**
 * napi-rs allocates 32 bytes for each handle that JavaScript holds, and only its table points to them. At exit the
 * table is freed before the handles. Handles that are garbage-collected free theirs.
 */
function isOfLivingHandle(error) {
  const [, bytes] = /<leakedbytes>(\d+)</.exec(error) ?? [];
  const [, blocks] = /<leakedblocks>(\d+)</.exec(error) ?? [];
  return bytes !== undefined && Number(bytes) === 32 * Number(blocks);
}

// V8 uses uninitialized values on purpose.
function memcheck(file) {
  return [
    "valgrind",
    "-q",
    "--undef-value-errors=no",
    "--leak-check=full",
    "--show-leak-kinds=definite",
    "--xml=yes",
    `--xml-file=${file}`,
  ];
}

/** Node.js leaks at exit, and a process that cannot be traced cannot be searched for leaks: leak detection is off. */
function addressSanitizer(logPath) {
  const library = must("gcc", ["-print-file-name=libasan.so"]).trim();
  const path = logPath === undefined ? "" : `:log_path=${logPath}`;
  return { LD_PRELOAD: library, ASAN_OPTIONS: `detect_leaks=0${path}` };
}

function built(sanitizer) {
  const library = sanitizer === "thread" ? ["-Zbuild-std"] : [];
  return ["--locked", ...library, "--target", HOST, "--target-dir", at(sanitizer)];
}

function cargo(sanitizer, args, stdio) {
  const lines = { CARGO_PROFILE_DEV_DEBUG: "line-tables-only", CARGO_PROFILE_TEST_DEBUG: "line-tables-only" };
  const env = {
    ...process.env,
    RUSTFLAGS: flags[sanitizer],
    RUSTDOCFLAGS: flags[sanitizer],
    ...lines,
  };
  return spawnSync("cargo", ["+nightly", ...args], { env, encoding: "utf8", maxBuffer: 1 << 28, stdio });
}

function testsOf(folder, name) {
  if (name.startsWith("integration/")) return [join(folder, `${name}.test.js`)];
  const files = readdirSync(join(folder, name), { recursive: true, encoding: "utf8" });
  return files.filter((file) => file.endsWith(".test.js")).map((file) => join(folder, name, file));
}

/** The source of a compiled test, `test/unit/x.test.ts` of `…/build/test/unit/x.test.js`. */
function sourceOf(file) {
  return relative(at("tree/build"), file).replace(/\.js$/, ".ts");
}

function at(name) {
  return join(target, name);
}

function outputOf([program, ...args], env = {}) {
  const { stdout, stderr } = spawnSync(program, args, { env: { ...process.env, ...env }, encoding: "utf8" });
  return stdout + stderr;
}

function must(program, args) {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: "utf8" });
  if (status !== 0) fail(`${program}: ${error?.message ?? stderr}`);
  return stdout;
}

function fail(message) {
  console.error(`sanitizers: ${message}`);
  process.exit(1);
}
