// Options from the environment: each has a variable, a wrong value is refused by name, and the command line takes
// precedence.

import assert from "node:assert/strict";
import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { freeAddress, textOf } from "../support/addresses.js";
import { limits, temporaryFolder } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { establishThrough, onLinux, readPidFile, startDetached, stopDaemon } from "../support/daemon.js";
import { Listener } from "../support/listener.js";
import { isAlive } from "../support/one-end.js";
import { argsOf } from "../support/processes.js";
import { ours } from "../support/programs.js";
import { noTimer, timerOf } from "../support/tcp-timer.js";
import { TestSocket } from "../support/test-socket.js";
import { newKey, patience } from "../support/tunnel.js";

type Variables = Readonly<Record<string, string>>;

/** Valid arguments except for the key file, which does not exist. */
const right: Variables = {
  SPIPED_FOREGROUND: "1",
  SPIPED_DECRYPT: "yes",
  SPIPED_SOURCE: "/nowhere/source",
  SPIPED_TARGET: "/nowhere/target",
  SPIPED_KEY: "/nowhere/no-key",
};

const wasTaken = /^spiped: cannot read key file \/nowhere\/no-key/;

/** The first message of spiped with arguments and environment variables that must fail. */
async function firstLine(t: TestContext, args: readonly string[], env: Variables): Promise<string> {
  const { status, stdout, stderr } = await Command.run(t, [...ours.spiped, ...args], { stdin: "ignore", env });
  assert.deepEqual([status, stdout], [1, ""], stderr);
  return stderr.split("\n")[0] ?? "";
}

/** Environment variables of flags without a value, and the error message for each. */
const switches = [
  "SPIPED_ENCRYPT",
  "SPIPED_DECRYPT",
  "SPIPED_WITHOUT_FORWARD_SECRECY",
  "SPIPED_REQUIRE_FORWARD_SECRECY",
  "SPIPED_NO_KEEP_ALIVE",
  "SPIPED_RESOLVE_ONCE",
  "SPIPED_FOREGROUND",
  "SPIPED_DAEMONIZE_FIRST",
  "SPIPED_SYSLOG",
  "SPIPED_NO_COALESCING",
  "SPIPED_CHECK",
  "SPIPED_PROXY_PROTOCOL",
] as const;

/** Environment variables of options with a value: an invalid one, and the error message. */
const values = [
  ["SPIPED_SOURCE", "here", /bad address for -s: "here"/],
  ["SPIPED_TARGET", "there", /bad address for -t: "there"/],
  ["SPIPED_KEY", "/another/no-key", /cannot read key file \/another\/no-key/],
  ["SPIPED_BIND", "/nowhere", /bad address for -b: "\/nowhere"/],
  ["SPIPED_TIMEOUT", "soon", /bad number of seconds for -o: "soon" \(from SPIPED_TIMEOUT\)/],
  ["SPIPED_MAX_CONNECTIONS", "-1", /bad number for -n: "-1" \(from SPIPED_MAX_CONNECTIONS\)/],
  ["SPIPED_RESOLVE_INTERVAL", "", /SPIPED_RESOLVE_INTERVAL is empty/],
  ["SPIPED_STATUS", "here", /bad address for --status: "here"/],
  ["SPIPED_USER", "no-such-user", /no user "no-such-user"/],
  ["SPIPED_SOURCE_MODE", "rw", /bad permissions for --source-mode: "rw" \(from SPIPED_SOURCE_MODE\)/],
  ["SPIPED_DRAIN_TIMEOUT", "never", /bad number of seconds for --drain-timeout: "never" \(from SPIPED_DRAIN_TIMEOUT\)/],
  ["SPIPED_CONFIG", "/nowhere", /--config cannot be combined with -d, -s, -t and -k/],
  ["SPIPED_LOG_LEVEL", "loud", /bad value for --log-level: "loud" \(from SPIPED_LOG_LEVEL\)/],
  ["SPIPED_LOG_FORMAT", "xml", /bad value for --log-format: "xml" \(from SPIPED_LOG_FORMAT\)/],
  ["SPIPED_THREADS", "0", /bad number for --threads: "0" \(from SPIPED_THREADS\)/],
] as const;

test("every option in spiped --help has an environment variable that is tested here", limits, async (t) => {
  const { stdout } = await Command.run(t, [...ours.spiped, "--help"]);
  const flags = [...stdout.matchAll(/^ +(?:-\w, )?--([a-z-]+)/gm)].map(([, long = ""]) => long);
  const expected = flags.filter((long) => long !== "help" && long !== "version");
  const tested = [...switches, ...values.map(([variable]) => variable), "SPIPED_PID_FILE"];
  const variables = expected.map((long) => `SPIPED_${long.toUpperCase().replaceAll("-", "_")}`);
  assert.deepEqual(variables.sort(), tested.sort());
});

for (const variable of switches) {
  test(`${variable} refuses a value that is neither yes nor no`, limits, async (t) => {
    for (const value of variable === "SPIPED_DECRYPT" ? ["maybe", "TRUE", "2", " 1"] : ["on"]) {
      const line = await firstLine(t, [], { ...right, [variable]: value });
      assert.equal(line, `spiped: bad value of ${variable}: ${JSON.stringify(value)}`);
    }
  });
}

for (const [variable, value, expected] of values) {
  test(`${variable} refuses ${JSON.stringify(value)}`, limits, async (t) => {
    assert.match(await firstLine(t, [], { ...right, [variable]: value }), expected);
  });
}

test("1, true and yes set a flag, and 0, false and no do not", limits, async (t) => {
  for (const value of ["1", "true", "yes"]) {
    const line = await firstLine(t, [], { ...right, SPIPED_ENCRYPT: value });
    assert.match(line, /-e and -d exclude each other/);
  }
  for (const value of ["0", "false", "no"]) {
    assert.match(await firstLine(t, [], { ...right, SPIPED_ENCRYPT: value, SPIPED_SYSLOG: value }), wasTaken);
    assert.match(await firstLine(t, [], { ...right, SPIPED_DECRYPT: value }), /-e or -d is missing/);
  }
});

for (const [what, variables, expected] of [
  ["-f with -g", { SPIPED_WITHOUT_FORWARD_SECRECY: "1", SPIPED_REQUIRE_FORWARD_SECRECY: "1" }, /-f .*-g/],
  ["-R with -r", { SPIPED_RESOLVE_ONCE: "1", SPIPED_RESOLVE_INTERVAL: "5" }, /-r and -R exclude/],
] as const) {
  test(`environment variables that contradict each other are refused as options are: ${what}`, limits, async (t) => {
    assert.match(await firstLine(t, [], { ...right, ...variables }), expected);
  });
}

for (const [args, variables] of [
  [["-e"], { SPIPED_DECRYPT: "1" }],
  [["-d"], { SPIPED_ENCRYPT: "1" }],
  [["-f"], { SPIPED_REQUIRE_FORWARD_SECRECY: "1" }],
  [["-g"], { SPIPED_WITHOUT_FORWARD_SECRECY: "1" }],
  [["-R"], { SPIPED_RESOLVE_INTERVAL: "5" }],
  [["-r", "5"], { SPIPED_RESOLVE_ONCE: "1" }],
  [["-n", "5"], { SPIPED_MAX_CONNECTIONS: "wrong" }],
  [["-s", "/nowhere/else"], { SPIPED_SOURCE: "wrong" }],
  [["-k", "/nowhere/no-key"], { SPIPED_KEY: "/another/no-key" }],
  [["-F"], { SPIPED_FOREGROUND: "wrong" }],
] as const) {
  const [[variable, value] = []] = Object.entries(variables);
  test(`${args.join(" ")} on the command line takes precedence over ${variable}=${value}`, limits, async (t) => {
    assert.match(await firstLine(t, args, { ...right, ...variables }), wasTaken);
  });
}

test("environment variables alone configure a tunnel completely", limits, async (t) => {
  const key = await newKey(t);
  const target = await Listener.listen(t, "tcp");
  const source = await freeAddress(t, "unix");
  const env = {
    ...right,
    SPIPED_SOURCE: textOf(source),
    SPIPED_TARGET: textOf(target.address),
    SPIPED_KEY: key.path,
    SPIPED_SOURCE_MODE: "0604",
    SPIPED_MAX_CONNECTIONS: "1",
    SPIPED_BIND: "[127.0.0.2]",
    SPIPED_TIMEOUT: patience[1] ?? "",
    SPIPED_REQUIRE_FORWARD_SECRECY: "true",
    SPIPED_NO_KEEP_ALIVE: "true",
    SPIPED_RESOLVE_ONCE: "true",
  };
  const command = Command.start(t, ours.spiped, { stdin: "ignore", env });
  await command.line(/listening on .*, decrypting to /);
  assert.equal((await lstat(textOf(source))).mode & 0o777, 0o604);
  const established = await establishThrough(t, source, target, key);
  assert.ok(await isAlive(established));
  const { localPort, remoteAddress, remotePort } = established.plain.socket;
  assert.equal(remoteAddress, "127.0.0.2");
  if (onLinux === false) assert.equal(await timerOf(remotePort, localPort), noTimer);
  await TestSocket.connect(t, source);
  await command.line(/connection limit reached/);
});

test("the daemon takes all options from the environment, including -k - and -p", {
  ...limits,
  skip: onLinux,
}, async (t) => {
  const key = await newKey(t);
  const target = await Listener.listen(t, "unix");
  const cwd = await temporaryFolder(t);
  const source = { kind: "unix", path: join(cwd, "socket") } as const;
  const env = {
    SPIPED_DECRYPT: "1",
    SPIPED_SOURCE: source.path,
    SPIPED_TARGET: textOf(target.address),
    SPIPED_KEY: "-",
    SPIPED_PID_FILE: "a.pid",
  };
  const command = startDetached(t, [...ours.spiped, ...patience], { stdin: "pipe", cwd, env });
  command.stdin.end(key.bytes);
  assert.equal((await command.ownExit()).status, 0, command.stderr);
  assert.deepEqual((await readdir(cwd)).sort(), ["a.pid", "socket"]);
  const id = readPidFile(join(cwd, "a.pid"));
  assert.deepEqual(argsOf(id).slice(2), patience);
  assert.ok(await isAlive(await establishThrough(t, source, target, key)));
  await stopDaemon({ id }, "SIGINT");
  assert.deepEqual(await readdir(cwd), []);
});

test("help, version and keygen ignore invalid environment variables, and spipe ignores all", limits, async (t) => {
  const env = { SPIPED_DECRYPT: "wrong", SPIPED_TIMEOUT: "wrong", SPIPED_TARGET: "wrong", SPIPED_KEY: "/nowhere" };
  const folder = await temporaryFolder(t);
  for (const args of [["--help"], ["-v"], ["keygen", join(folder, "key")]]) {
    const { status, stderr } = await Command.run(t, [...ours.spiped, ...args], { stdin: "ignore", env });
    assert.deepEqual([status, stderr], [0, ""]);
  }
  const { status, stderr } = await Command.run(t, ours.spipe, { stdin: "ignore", env });
  assert.equal(status, 1);
  assert.match(stderr, /-t TARGET and -k KEYFILE are missing/);
});

for (const [variable, value] of [
  ["SPIPED_INTERNAL_GIVEN", "{}"],
  ["SPIPED_INTERNAL_GIVEN", '{"args":[1],"variables":{}}'],
  ["SPIPED_INTERNAL_SERVICE", "["],
  ["SPIPED_INTERNAL_SERVICE", "null"],
  ["SPIPED_INTERNAL_SERVICE", '{"handed":{"processId":1,"first":-1}}'],
] as const) {
  test(`${variable}=${value}, not set by spiped, is refused by name`, limits, async (t) => {
    const line = await firstLine(t, [], { ...right, [variable]: value });
    assert.equal(line, `spiped: bad value of ${variable}: ${JSON.stringify(value)}`);
  });
}
