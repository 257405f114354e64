// --log-level and --log-format: every message obeys them, from the first error in the arguments.

import assert from "node:assert/strict";
import { fstatSync, openSync, readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { KEYS } from "#dist/observe/entry.js";
import { limits, temporaryFolder, until } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { Listener } from "../support/listener.js";
import { startClientEnd, startServerEnd } from "../support/one-end.js";
import { ours } from "../support/programs.js";
import { ReferencePeer } from "../support/reference-peer.js";
import { TestSocket } from "../support/test-socket.js";
import { newKey, patience, startSpiped } from "../support/tunnel.js";

type Entry = Readonly<Record<string, unknown>>;

const json = ["--log-format", "json"];
const known = ["time", "level", "event", "message", "hint", "stack", ...Object.values(KEYS)];

/** All lines so far, each of which has to be an object with documented keys. */
function entriesOf({ lines }: Command): readonly Entry[] {
  return lines.map((line) => {
    const entry = JSON.parse(line) as Entry;
    for (const key of Object.keys(entry)) assert.ok(known.includes(key), `${key} in ${line}`);
    assert.match(String(entry["time"]), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    return entry;
  });
}

async function entry(command: Command, event: string, count = 1): Promise<Entry> {
  await command.line(new RegExp(`"event":"${event}"`), count);
  return entriesOf(command).filter((one) => one["event"] === event)[count - 1] ?? {};
}

test("with JSON, every message is an object: start, strangers, state, exit", limits, async (t) => {
  const end = await startServerEnd(t, { kind: "tcp", flags: [...json, ...patience] });
  const { command } = end.spiped;
  const listening = await entry(command, "listening");
  assert.equal(listening["role"], "decrypt");
  const rubbish = Buffer.from(Array.from({ length: 65_536 }, (_, index) => (index * 37 + 11) % 256));
  for (const bytes of [Buffer.from('GET /"\\\u2028 HTTP/1.1\r\nX: \x1b[31m\r\n\r\n'), rubbish]) {
    const stranger = await end.dial();
    await stranger.write(bytes);
    stranger.finish();
    await stranger.end();
  }
  const http = await entry(command, "connection-ended");
  assert.deepEqual(
    [http["reason"], http["code"], http["recognized"], http["phase"]],
    ["handshake-failed", "SPIPED_HANDSHAKE_ENDED", "http", "handshaking"],
  );
  assert.match(String(http["message"]), /it speaks HTTP/);
  assert.match(String(http["hint"]), /only spiped -e and spipe/);
  assert.ok(typeof http["duration_s"] === "number" && typeof http["connection"] === "number");
  await entry(command, "connection-ended", 2);
  command.signal("SIGUSR1");
  await entry(command, "state-failure", 2);
  command.signal("SIGTERM");
  await command.exit();
  assert.deepEqual(
    entriesOf(command).map(({ event }) => event),
    [
      "listening",
      "connection-ended",
      "connection-ended",
      "state",
      "state-tunnel",
      "state-failure",
      "state-failure",
      "stopped",
    ],
  );
});

for (const [what, args, env] of [
  ["in a word that is no flag", ["--log-format", "json", "--nonsense"], {}],
  ["in a word before the format", ["-o", "never", "--log-format=json"], {}],
  ["in what is missing", ["-d", ...json], {}],
  ["in words, with the format in a variable", ["-d"], { SPIPED_LOG_FORMAT: "json" }],
  ["in a file, for a daemon", ["-d", "-s", "[127.0.0.1]:0", "-t", "[127.0.0.1]:1", "-k", "/no/key", ...json], {}],
] as const) {
  test(`with JSON, an error ${what} is an object with its hint`, limits, async (t) => {
    const command = Command.start(t, [...ours.spiped, ...args], { stdin: "ignore", env });
    assert.equal((await command.exit()).status, 1);
    const [first, ...others] = entriesOf(command);
    assert.deepEqual(others, []);
    assert.deepEqual([first?.["level"], first?.["event"]], ["error", "error"]);
    assert.match(String(first?.["code"]), /^SPIPED_(USAGE|KEY_FILE)$/);
    assert.ok(typeof first?.["hint"] === "string");
  });
}

test("an unknown level or format is refused, and the hint lists those that exist", limits, async (t) => {
  for (const [flag, args] of [
    ["--log-level", "error, warning, info or debug"],
    ["--log-format", "text or json"],
  ] as const) {
    const { status, stderr } = await Command.run(t, [...ours.spiped, flag, "loud"]);
    assert.equal(status, 1);
    assert.match(stderr, new RegExp(`^spiped: bad value for ${flag}: "loud"\nspiped: hint: write ${args}\n$`));
  }
});

test("with debug, a connection is logged from its start to its end, with its bytes", limits, async (t) => {
  const end = await startClientEnd(t, { kind: "tcp", flags: ["--log-level", "debug", ...patience] });
  const { command } = end.spiped;
  const { peer, plain } = await end.establish();
  await plain.write("hello");
  await peer.receive(5);
  peer.link.finish();
  plain.finish();
  await command.line(/^spiped: connection from \[127\.0\.0\.1\]:\d+: accepted$/);
  await command.line(/: established \(handshake \d+\.\d{3} s\)$/);
  await command.line(/: closed \(5 bytes forward, 0 back, \d+\.\d{3} s, handshake \d+\.\d{3} s\)$/);
});

test("with error, failures are not logged, but SIGUSR2 still logs the state", limits, async (t) => {
  const key = await newKey(t);
  const target = await Listener.listen(t, "tcp");
  // It does not log when it listens.
  const program = { ...ours, name: "C" as const };
  const flags = ["--log-level", "error", ...json, "-n", "50", ...patience];
  const { command, source } = await startSpiped(t, {
    program,
    end: "-d",
    source: "tcp",
    target: target.address,
    key,
    flags,
  });
  // Bytes that have arrived show that the connection is past its handshake.
  const establish = async (text: string) => {
    const peer = ReferencePeer.client(await TestSocket.connect(t, source), { keyFile: key.bytes });
    await peer.handshake();
    const plain = await target.next();
    await peer.send(Buffer.from(text));
    await plain.read(text.length);
  };
  const stranger = await TestSocket.connect(t, source);
  stranger.finish();
  await stranger.end();
  for (const text of ["hello", "salut", "good day"]) await establish(text);
  assert.deepEqual(command.lines, []);
  command.signal("SIGUSR2");
  await entry(command, "state-failure");
  const state = await entry(command, "state");
  assert.deepEqual([state["signal"], state["tunnels"], state["count"]], ["SIGUSR2", 1, 3]);
  assert.ok(Number(state["uptime_s"]) > 0);
  const tunnel = await entry(command, "state-tunnel");
  assert.deepEqual([tunnel["state"], tunnel["count"], tunnel["limit"]], ["listening", 3, 50]);
  const connections = entriesOf(command).filter(({ event }) => event === "state-connection");
  assert.deepEqual(
    connections.map((one) => [one["phase"], one["bytes_forward"], one["bytes_reverse"]]),
    [
      ["piping", 5, 0],
      ["piping", 5, 0],
      ["piping", 8, 0],
    ],
    "the oldest first",
  );
});

/** Starts one with standard error in a file, and waits for its output there. */
async function startWithFile(
  t: TestContext,
  flags: readonly string[],
  environment: (file: number) => Readonly<Record<string, string>>,
): Promise<{ readonly command: Command; readonly text: () => string }> {
  const path = join(await temporaryFolder(t), "log");
  const file = openSync(path, "a");
  const command = Command.start(
    t,
    [...ours.spiped, "-F", "-d", "-s", "[127.0.0.1]:0", "-t", "[127.0.0.1]:1", "-k", "-", ...flags],
    { stderr: file, env: environment(file) },
  );
  command.stdin.end("a key of more than thirty-two bytes");
  const text = () => readFileSync(path, "utf8");
  await until(() => text().includes("listening") || undefined, "a line in the file");
  return { command, text };
}

test("log messages have a priority if the journal reads standard error", limits, async (t) => {
  const streamOf = (file: number) => {
    const { dev, ino } = fstatSync(file, { bigint: true });
    return `${dev}:${ino}`;
  };
  const own = await startWithFile(t, [], (file) => ({ JOURNAL_STREAM: streamOf(file) }));
  assert.match(own.text(), /^(<4>spiped: .*\n)*<6>spiped: listening on .*\n$/);
  const objects = await startWithFile(t, json, (file) => ({ JOURNAL_STREAM: streamOf(file) }));
  const [line = ""] = objects.text().split("\n").slice(-2);
  assert.equal(line.slice(0, 3), "<6>");
  assert.equal((JSON.parse(line.slice(3)) as Entry)["event"], "listening");
  const other = await startWithFile(t, [], (file) => ({ JOURNAL_STREAM: `1${streamOf(file)}` }));
  assert.match(other.text(), /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z spiped: .*\n)+$/);
});

test(
  "with several tunnels, each message names its tunnel, and the configuration file sets the format",
  limits,
  async (t) => {
    for (const format of ["text", "json"] as const) {
      const key = await newKey(t);
      const path = join(await temporaryFolder(t), "spiped.toml");
      const table = (name: string) =>
        `[decrypt.${name}]\nsource = "[127.0.0.1]:0"\ntarget = "[127.0.0.1]:1"\nkey = "${key.path}"\n`;
      await writeFile(path, `log-format = "${format}"\n${table("redis")}${table("mail")}`, { mode: 0o600 });
      const command = Command.start(t, [...ours.spiped, "-F", "--config", path], { stdin: "ignore" });
      await command.line(/listening/, 2);
      command.signal("SIGUSR1");
      await command.line(/connections open/, 2);
      if (format === "text") {
        await command.line(/^spiped: mail: listening on \[127\.0\.0\.1\]:\d+, decrypting to/);
        await command.line(/^spiped: SIGUSR1: 0 open connections; spiped \d+\.\d+\.\d+, 2 tunnels, up \d+ s$/);
        await command.line(
          /^spiped: redis: \[127\.0\.0\.1\]:\d+, decrypting to \[127\.0\.0\.1\]:1: listening, 0 of 100/,
        );
      } else {
        assert.deepEqual(
          entriesOf(command).map(({ event, tunnel }) => [event, tunnel]),
          [
            ["listening", "redis"],
            ["listening", "mail"],
            ["state", undefined],
            ["state-tunnel", "redis"],
            ["state-tunnel", "mail"],
          ],
        );
      }
      command.signal("SIGTERM");
      await command.exit();
    }
  },
);
