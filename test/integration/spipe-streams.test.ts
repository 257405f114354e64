// spipe's standard streams: every kind of file they can be, and no data lost when they end.

import assert from "node:assert/strict";
import { closeSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { freeAddress, textOf } from "../support/addresses.js";
import { limits } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { expectBytes } from "../support/expect.js";
import { startServerEnd } from "../support/one-end.js";
import { ours, root, withCommands } from "../support/programs.js";
import { digestOf, digestOfRandomData, randomData } from "../support/random-data.js";
import { type Args, inShell, startEcho } from "../support/spipe-shell.js";
import { newKey, patience } from "../support/tunnel.js";

const data = randomData("standard streams", 1_000_000);

/** The input file, which contains `data`, and the output file. */
function filesIn(folder: string): { input: string; output: string } {
  const [input, output] = [join(folder, "input"), join(folder, "output")];
  writeFileSync(input, data);
  return { input, output };
}

const inputs: Readonly<Record<string, (input: string) => string>> = {
  "a file": (input) => `"$@" < '${input}'`,
  "a pipe": (input) => `cat '${input}' | "$@"`,
};

const outputs: Readonly<Record<string, (command: string, output: string) => string>> = {
  "a file": (command, output) => `${command} > '${output}'`,
  "a file that is appended to": (command, output) => `: > '${output}'; ${command} >> '${output}'`,
  "a pipe": (command, output) => `{ ${command}; echo $? >&2; } | cat > '${output}'`,
};

for (const [inputName, inputOf] of Object.entries(inputs)) {
  for (const [outputName, outputOf] of Object.entries(outputs)) {
    test(`spipe carries everything from ${inputName} to ${outputName}`, limits, async (t) => {
      const { args, folder } = await startEcho(t);
      const { input, output } = filesIn(folder);
      const script = outputOf(inputOf(input), output);
      const { status, stderr } = await Command.run(t, inShell(script, args));
      assert.equal(status, 0, stderr);
      assert.match(stderr, /^(0\n)?$/);
      expectBytes(readFileSync(output), data);
    });
  }
}

for (const [what, script, expected] of [
  ["nothing to read", '"$@" < /dev/null', ""],
  ["output to /dev/null", 'echo hello | "$@" > /dev/null', ""],
  ["a closed standard error", 'echo hello | "$@" 2>&-', "hello\n"],
] as const) {
  test(`spipe with ${what} exits 0`, limits, async (t) => {
    const { args } = await startEcho(t);
    const { status, stdout, stderr } = await Command.run(t, inShell(script, args));
    assert.deepEqual({ status, stdout, stderr }, { status: 0, stdout: expected, stderr: "" });
  });
}

test("spipe exits 1 when its standard output is full", limits, async (t) => {
  const { args } = await startEcho(t);
  for (const input of ["echo hello", "head -c 1000000 /dev/zero"]) {
    const { status, stderr } = await Command.run(t, inShell(`${input} | "$@" > /dev/full`, args));
    assert.equal(status, 1);
    assert.match(stderr, /^spipe: Connection error: .*no space left/i);
  }
});

test("spipe exits 1 with the original's three messages, each followed by the reason", limits, async (t) => {
  const end = await startServerEnd(t, { kind: "tcp" });
  const argsTo = (target: string, key: string): Args => [...ours.spipe, "-t", target, "-k", key, ...patience];
  const refused = await Command.run(t, argsTo(textOf(await freeAddress(t, "tcp")), end.key.path));
  assert.equal(refused.status, 1);
  assert.match(
    refused.stderr,
    /^spipe: Could not connect: .*refused; hint: is spiped -d running there\? Try spipe --probe\n$/,
  );

  const stranger = await Command.run(t, argsTo(textOf(end.spiped.source), (await newKey(t)).path));
  assert.equal(stranger.status, 1);
  assert.match(stranger.stderr, /^spipe: Handshake failed: .+\n$/);

  const cut = Command.start(t, argsTo(textOf(end.spiped.source), end.key.path));
  cut.stdin.write("hello");
  const service = await end.target.next();
  expectBytes(await service.read(5), "hello");
  service.reset();
  assert.equal((await cut.exit()).status, 1);
  assert.match(
    cut.stderr,
    /^spipe: Connection error: .*reset by peer; hint: the far end does this when it cannot reach its target; see its log\n$/,
  );
});

withCommands(["socat"], ([socat = ""]) => {
  test("spipe works with one socket as both standard streams, as sshd gives to commands", limits, async (t) => {
    // A UNIX socket, because socat would interpret the colons and brackets of a TCP address.
    const { args, folder } = await startEcho(t, "unix");
    const { input } = filesIn(folder);
    const script = `"$0" -t 60 - EXEC:"$*"`;
    const stdin = openSync(input, "r");
    const command = Command.start(t, ["sh", "-c", script, socat, ...args], { stdin });
    assert.deepEqual(await command.exit(), { status: 0, signal: null });
    closeSync(stdin);
    assert.equal(command.stderr, "");
    expectBytes(command.stdout, data);
  });
});

withCommands(["python3"], ([python = ""]) => {
  const terminal = [python, join(root, "test/support/terminal.py")] as const;
  const endOfInput = Uint8Array.of(4);

  test("spipe works in a terminal, and exits on its end of input", limits, async (t) => {
    const { args } = await startEcho(t);
    const command = Command.start(t, [...terminal, ...inShell('stty -echo; echo ready; exec "$@"', args)]);
    const output = command.takeStdout().setEncoding("latin1");
    let shown = "";
    output.on("data", (text: string) => {
      shown += text;
      if (/^ready\r\n$/.test(shown)) command.stdin.write("hello\n");
      if (/^ready\r\nhello\r\n$/.test(shown)) command.stdin.write(endOfInput);
    });
    assert.deepEqual(await command.exit(), { status: 0, signal: null });
    assert.equal(shown, "ready\r\nhello\r\n");
  });

  test("spipe loses nothing when it writes a lot of output to a terminal", limits, async (t) => {
    const { args, folder } = await startEcho(t);
    const input = join(folder, "input");
    const text = "0123456789abcdef".repeat(20_000);
    writeFileSync(input, text);
    const command = Command.start(t, [...terminal, ...inShell(`exec "$@" < '${input}'`, args)]);
    assert.deepEqual(await command.exit(), { status: 0, signal: null });
    expectBytes(command.stdout, text);
  });
});

/** Four for each size, each kind of tunnel and each kind of output. */
const rounds = 24;

for (const kind of ["tcp", "unix"] as const) {
  for (const [what, wrap] of [
    ["a socket", (args: Args): Args => args],
    ["a pipe", (args: Args): Args => inShell('{ "$@"; echo $? >&2; } | cat', args)],
  ] as const) {
    test(
      `spipe on ${kind} writes all data that arrives right before the end to ${what}, ${rounds} times`,
      limits,
      async (t) => {
        const end = await startServerEnd(t, { kind, flags: ["-f", ...patience] });
        const spipe = [...ours.spipe, "-t", textOf(end.spiped.source), "-k", end.key.path, ...patience] as const;
        const sizes = [1, 1_024, 65_536, 65_537, 1_000_000, 3_000_000];
        let served = 0;
        end.target.onConnection((service) => {
          const lengthBytes = sizes[served % sizes.length] ?? 0;
          served += 1;
          void service.writeRandomData("right before the end", lengthBytes).then(() => service.finish());
        });
        for (let round = 0; round < rounds; round += 1) {
          const lengthBytes = sizes[round % sizes.length] ?? 0;
          const command = Command.start(t, wrap(spipe), { stdin: "ignore" });
          const output = command.takeStdout();
          const pieces: Buffer[] = [];
          // After the first bytes have arrived, so that most of the data has to wait for its reader.
          output.once("readable", () => output.on("data", (piece: Buffer) => pieces.push(piece)));
          assert.deepEqual(await command.exit(), { status: 0, signal: null });
          assert.match(command.stderr, /^(0\n)?$/);
          const received = Buffer.concat(pieces);
          assert.equal(received.length, lengthBytes);
          assert.equal(digestOf(received), digestOfRandomData("right before the end", lengthBytes));
        }
      },
    );
  }

  test(
    `spipe --end-with-remote on ${kind} exits when the server has ended, after writing all data`,
    limits,
    async (t) => {
      const end = await startServerEnd(t, { kind, flags: ["-f", ...patience] });
      const flags = ["-k", end.key.path, "--end-with-remote", ...patience] as const;
      const command = Command.start(t, [...ours.spipe, "-t", textOf(end.spiped.source), ...flags]);
      const service = await end.target.next();
      command.stdin.write("hello");
      expectBytes(await service.read(5), "hello");
      await service.write(data);
      service.finish();
      // Standard input is still open.
      assert.deepEqual(await command.exit(), { status: 0, signal: null });
      expectBytes(command.stdout, data);
      assert.equal(command.stderr, "");
      await service.closed();
    },
  );
}

test("spipe --end-with-remote leaves its standard input usable for the next reader", limits, async (t) => {
  const end = await startServerEnd(t, { kind: "tcp", flags: ["-f", ...patience] });
  const spipe = [...ours.spipe, "-t", textOf(end.spiped.source), "-k", end.key.path, "--end-with-remote"] as const;
  const script = 'cat | { "$@"; echo next >&2; cat; } | cat';
  const command = Command.start(t, inShell(script, [...spipe, ...patience]));
  (await end.target.next()).finish();
  await command.line(/^next$/);
  command.stdin.end(data);
  assert.deepEqual(await command.exit(), { status: 0, signal: null });
  assert.equal(command.stderr, "next\n");
  expectBytes(command.stdout, data);
});

test("spipe --end-with-remote waits for the server's end when standard input ends first", limits, async (t) => {
  const end = await startServerEnd(t, { kind: "tcp", flags: ["-f", ...patience] });
  const flags = ["-k", end.key.path, "--end-with-remote", ...patience] as const;
  const command = Command.start(t, [...ours.spipe, "-t", textOf(end.spiped.source), ...flags], { stdin: "ignore" });
  const service = await end.target.next();
  assert.equal((await service.readToEnd()).end, "fin");
  await service.write(data);
  service.finish();
  assert.deepEqual(await command.exit(), { status: 0, signal: null });
  expectBytes(command.stdout, data);
});
