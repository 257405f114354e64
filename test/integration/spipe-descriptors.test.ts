// spipe's descriptors 0 and 1: any kind of file is read to its end and written completely, without effect on processes that
// share it. A file that cannot be read or written is an error before connecting.

import assert from "node:assert/strict";
import { once } from "node:events";
import { appendFileSync, closeSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { freeAddress, socketOptionsOf, textOf } from "../support/addresses.js";
import { afterwards, limits, until } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { expectBytes } from "../support/expect.js";
import { Listener } from "../support/listener.js";
import { type ServerEnd, startServerEnd } from "../support/one-end.js";
import { commandOnPath, declareIf, ours, withCommands } from "../support/programs.js";
import { digestOfRandomData, randomData } from "../support/random-data.js";
import { asRoot } from "../support/root.js";
import { type Args, inShell, startEcho } from "../support/spipe-shell.js";
import { TestSocket } from "../support/test-socket.js";
import { newKey, patience } from "../support/tunnel.js";

const data = randomData("descriptors", 1_000_000);
const isLinux = process.platform === "linux";

/** Shell scripts for a file of `data`, `$input`; `$other` is unused. */
const inputs: Readonly<Record<string, { readonly script: string; readonly from?: number; readonly linux?: true }>> = {
  "a file": { script: '"$@" < "$input"' },
  "a file that is open for writing too": { script: '"$@" <> "$input"' },
  "the rest of a file": { script: '{ dd bs=1 count=1000 2> /dev/null > "$other"; "$@"; } < "$input"', from: 1_000 },
  "a file that is deleted": { script: '{ rm "$input"; "$@"; } < "$input"' },
  "a pipe": { script: 'cat "$input" | "$@"' },
  "a FIFO": { script: 'mkfifo "$other"; cat "$input" > "$other" & "$@" < "$other"' },
  "a FIFO whose writer has gone": {
    // A pipe holds no more than 65,536 bytes.
    script: 'mkfifo "$other"; { tail -c 50000 "$input" >&3; exec 4< "$other" 3>&-; "$@" <&4; } 3<> "$other"',
    from: data.length - 50_000,
    linux: true,
  },
};

for (const [what, { script, from = 0, linux }] of Object.entries(inputs)) {
  if (linux && !isLinux) continue;
  test(`spipe reads ${what} to its end`, limits, async (t) => {
    const { args, folder } = await startEcho(t);
    const input = join(folder, "input");
    writeFileSync(input, data);
    const env = { input, other: join(folder, "other") };
    const command = Command.start(t, inShell(script, args), { stdin: "ignore", env });
    assert.deepEqual(await command.exit(), { status: 0, signal: null }, command.stderr);
    assert.equal(command.stderr, "");
    expectBytes(command.stdout, data.subarray(from));
  });
}

test("spipe sends data appended to a file while it is read", limits, async (t) => {
  const { command, end, input } = await startFrom(t, (file) => `"$@" < '${file}'`, 50_000_000);
  const service = await end.target.next();
  await service.read(1);
  service.socket.pause();
  // More than all buffers on the way hold, so the end of the file has not been read yet.
  appendFileSync(input, data);
  service.socket.resume();
  const { bytes, end: how } = await service.readToEnd();
  assert.equal(how, "fin");
  assert.equal(bytes.length, 50_000_000 - 1 + data.length);
  expectBytes(bytes.subarray(50_000_000 - 1), data);
  service.finish();
  assert.deepEqual(await command.exit(), { status: 0, signal: null });
});

test("spipe reads an endless device until the remote side resets the connection", limits, async (t) => {
  const { command, end } = await startFrom(t, () => '"$@" < /dev/zero');
  const service = await end.target.next();
  expectBytes(await service.read(3_000_000), new Uint8Array(3_000_000));
  service.reset();
  assert.deepEqual(await command.exit(), { status: 1, signal: null });
});

if (isLinux) {
  test("spipe reads a file of /proc, whose size is given as 0", limits, async (t) => {
    const { args } = await startEcho(t);
    const { status, stdout } = await Command.run(t, inShell('"$@" < /proc/version', args));
    assert.deepEqual({ status, stdout }, { status: 0, stdout: readFileSync("/proc/version", "utf8") });
  });
}

// A loop device needs root and kernel support.
asRoot(["losetup"], () => {
  test("spipe sends a block device completely", limits, async (t) => {
    const { args, folder } = await startEcho(t);
    const disk = join(folder, "disk");
    writeFileSync(disk, randomData("disk", 5_000_192));
    const set = await Command.run(t, ["losetup", "--find", "--show", disk]);
    if (set.status !== 0) {
      process.stderr.write("SKIPPED: no loop device here; spipe was NOT tried on a block device\n");
      t.skip(`no loop device: ${set.stderr.trim()}`);
      return;
    }
    const device = set.stdout.trim();
    afterwards(t, () => Command.run(t, ["losetup", "--detach", device]));
    const command = Command.start(t, inShell('"$@" < "$device"', args), { stdin: "ignore", env: { device } });
    assert.deepEqual(await command.exit(), { status: 0, signal: null }, command.stderr);
    expectBytes(command.stdout, readFileSync(disk));
  });
});

for (const kind of ["tcp", "unix"] as const) {
  test(`spipe uses one ${kind} socket for both streams, as from inetd, and passes both ends on`, limits, async (t) => {
    const { args } = await startEcho(t);
    const address = await freeAddress(t, kind);
    // Node's sockets are non-blocking, so this one is too.
    const inetd = createServer({ pauseOnConnect: true, allowHalfOpen: true });
    afterwards(t, () => inetd.close());
    await once(inetd.listen(socketOptionsOf(address)), "listening");
    const connection = once(inetd, "connection");
    const client = await TestSocket.connect(t, address);
    const [accepted] = await connection;
    const descriptor: number = accepted._handle.fd;
    assert.ok(descriptor > 0);
    const command = Command.start(t, args, { stdin: descriptor, stdout: descriptor });
    accepted.destroy();
    await client.writeRandomData("inetd", 3_000_000);
    client.finish();
    const { digest, lengthBytes, end } = await client.digestToEnd();
    assert.deepEqual([lengthBytes, end], [3_000_000, "fin"]);
    assert.equal(digest, digestOfRandomData("inetd", 3_000_000));
    assert.deepEqual(await command.exit(), { status: 0, signal: null });
    assert.equal(command.stderr, "");
  });
}

/** spipe to a spiped -d whose target is the test. */
async function startFrom(
  t: TestContext,
  scriptOf: (input: string) => string,
  lengthBytes = 0,
): Promise<{ command: Command; end: ServerEnd; input: string }> {
  const end = await startServerEnd(t, { kind: "tcp", flags: ["-f", ...patience] });
  const key = await newKey(t, end.key.bytes);
  const input = `${key.path}-input`;
  writeFileSync(input, randomData("input", lengthBytes));
  const args = [...ours.spipe, "-t", textOf(end.spiped.source), "-k", key.path, ...patience] as const;
  return { command: Command.start(t, inShell(scriptOf(input), args)), end, input };
}

// Streams that cannot be read or written.

for (const [what, script, message] of [
  ["a closed standard input", '"$@" <&-', /^spipe: standard input is closed\nspipe: hint: .*\n$/],
  ["a closed standard output", 'echo hello | "$@" >&-', /^spipe: standard output is closed\nspipe: hint: .*\n$/],
  ["both closed", '"$@" <&- >&-', /^spipe: standard input is closed\nspipe: hint: .*\n$/],
  ["all three closed", '"$@" <&- >&- 2>&-', /^$/],
  ["a folder as its standard input", '"$@" < /', /^spipe: standard input is a folder\n$/],
  [
    "a standard input that is open for writing",
    '"$@" 0> /dev/null',
    /^spipe: standard input cannot be read: it is open for writing only\n$/,
  ],
  [
    "a standard output that is open for reading",
    'echo hello | "$@" 1< /dev/null',
    /^spipe: standard output cannot be written: it is open for reading only\n$/,
  ],
  [
    "the wrong end of a pipe as its standard output",
    'true | { exec 3<&0; echo hello | "$@" >&3; }',
    /^spipe: standard output cannot be written: it is open for reading only\n$/,
  ],
] as const) {
  if (!isLinux && /closed/.test(what)) continue;
  test(`spipe with ${what} exits 1 and reports it before connecting`, limits, async (t) => {
    const nobody = await Listener.listen(t, "tcp");
    let calls = 0;
    nobody.onConnection(() => {
      calls += 1;
    });
    const key = await newKey(t);
    const args = [...ours.spipe, "-t", textOf(nobody.address), "-k", key.path, ...patience] as const;
    const { status, stdout, stderr } = await Command.run(t, inShell(script, args));
    assert.deepEqual({ status, stdout, calls }, { status: 1, stdout: "", calls: 0 });
    assert.match(stderr, message);
  });
}

for (const [what, script, expected] of [
  ["standard input", '"$@" < /dev/null', ""],
  ["standard output", 'echo hello | "$@" > /dev/null', ""],
  ["all streams, opened once for both directions, as a daemon does", '"$@" <> /dev/null >&0 2>&0', ""],
  ["standard output, inherited from a shell that had it so", 'echo hello | { "$@"; echo $? >&2; } 1<> /dev/null', ""],
] as const) {
  test(`spipe accepts a /dev/null for ${what}`, limits, async (t) => {
    const { args } = await startEcho(t);
    const { status, stdout, stderr } = await Command.run(t, inShell(script, args));
    assert.deepEqual({ status, stdout }, { status: 0, stdout: expected });
    assert.match(stderr, /^(0\n)?$/);
  });
}

if (isLinux) {
  test("spipe exits 1 and resets the connection when reading standard input fails", limits, async (t) => {
    // Nothing is mapped at address 0.
    const { command, end } = await startFrom(t, () => '"$@" < /proc/self/mem');
    const service = await end.target.next();
    assert.equal(await service.end(), "reset");
    assert.deepEqual(await command.exit(), { status: 1, signal: null });
    assert.match(command.stderr, /^spipe: Connection error: .*standard input: i\/o error\n$/);
  });
}

for (const [what, script, message] of [
  ["a full device", '"$@" > /dev/full', /standard output: no space left on device\n/],
  ["a file that may not grow", `ulimit -f 8; "$@" > '%'`, /standard output: file too large\n/],
  ["a pipe that nobody reads", `{ "$@"; echo "status $?" >&2; } | true`, /standard output: broken pipe\n/],
] as const) {
  test(`spipe exits 1 and resets the connection when its standard output is ${what}`, limits, async (t) => {
    const { command, end } = await startFrom(t, (input) => script.replace("%", `${input}-output`));
    const service = await end.target.next();
    const sent = service.write(new Uint8Array(100_000)).catch(() => undefined);
    assert.equal(await service.end(), "reset");
    await sent;
    const { status } = await command.exit();
    assert.match(command.stderr, message);
    if (/status/.test(script)) assert.match(command.stderr, /^status 1$/m);
    else assert.equal(status, 1);
  });
}

test("spipe that cannot connect leaves its standard input for the next reader", limits, async (t) => {
  const key = await newKey(t);
  const args = [...ours.spipe, "-t", textOf(await freeAddress(t, "tcp")), "-k", key.path, ...patience] as const;
  const input = `${key.path}-input`;
  writeFileSync(input, data);
  // Standard output too: first a socket, where a shutdown would affect every process, and then a pipe.
  const scripts = [`{ "$@"; cat; } < '${input}'`, `cat '${input}' | { "$@"; cat; }`];
  for (const script of [...scripts, ...scripts.map((each) => `${each} | cat`)]) {
    const command = Command.start(t, inShell(script, args), { stdin: "ignore" });
    assert.deepEqual(await command.exit(), { status: 0, signal: null });
    assert.match(command.stderr, /^spipe: Could not connect: /);
    expectBytes(command.stdout, data);
  }
});

// Other processes that share a stream with spipe.

if (isLinux) {
  for (const [what, wrap] of [
    ["pipes", (args: Args): Args => inShell('cat | { "$@"; } | cat', args)],
    ["sockets", (args: Args): Args => args],
  ] as const) {
    test(`spipe leaves ${what} that it shares unchanged: before, during and after`, limits, async (t) => {
      const { args, folder } = await startEcho(t);
      const go = join(folder, "go");
      writeFileSync(go, "");
      // The shell has the same open files, at numbers that its own redirections do not touch.
      const script =
        'exec 5<&0 6>&1; echo "shell $$" >&2; "$@"; echo ended >&2; while [ -e "$go" ]; do sleep 0.01; done';
      const command = Command.start(t, wrap(inShell(script, args)), { env: { go } });
      const shell = (await command.line(/^shell \d+$/)).slice("shell ".length);
      const flags = (): readonly (string | undefined)[] =>
        [5, 6].map((descriptor) => {
          const shown = readFileSync(`/proc/${shell}/fdinfo/${descriptor}`, "latin1");
          return /^flags:\s*(\d+)$/m.exec(shown)?.[1];
        });
      const before = flags();
      assert.ok(before.every((text) => text !== undefined && (Number.parseInt(text, 8) & 0o4000) === 0));
      command.stdin.write("hello");
      await until(() => (command.stdout.length === 5 ? true : undefined), "the echo");
      assert.deepEqual(flags(), before);
      command.stdin.end();
      await command.line(/^ended$/);
      assert.deepEqual(flags(), before);
      rmSync(go);
      assert.deepEqual(await command.exit(), { status: 0, signal: null });
    });
  }
}

withCommands(["python3"], ([python = ""]) => {
  for (const what of ["pipe", "socketpair"] as const) {
    test(`spipe waits for a ${what} that another process has made non-blocking`, limits, async (t) => {
      const { args, folder } = await startEcho(t);
      const helper = join(folder, "non-blocking.py");
      writeFileSync(helper, nonBlocking);
      const command = Command.start(t, [python, helper, what, ...args], { stdin: "ignore" });
      assert.deepEqual(await command.exit(), { status: 0, signal: null }, command.stderr);
      expectBytes(command.stdout, new Uint8Array(3_000_000).fill(0x78));
    });
  }
});

/** Runs a command between two slow non-blocking pipes or sockets, and passes its output on. */
const nonBlocking = `
import os, socket, subprocess, sys, threading
def pair():
    if sys.argv[1] == "pipe":
        return os.pipe()
    a, b = socket.socketpair()
    return a.detach(), b.detach()
(stdin, feed), (out, stdout) = pair(), pair()
os.set_blocking(stdin, False)
os.set_blocking(stdout, False)
child = subprocess.Popen(sys.argv[2:], stdin=stdin, stdout=stdout)
os.close(stdin)
os.close(stdout)
def write():
    with os.fdopen(feed, "wb") as stream:
        stream.write(b"x" * 3_000_000)
threading.Thread(target=write).start()
with os.fdopen(out, "rb") as stream:
    while data := stream.read(65536):
        sys.stdout.buffer.write(data)
sys.exit(child.wait())
`;

test("spipe exits at once on SIGTERM while its threads wait for streams that never end", limits, async (t) => {
  const { args, folder } = await startEcho(t);
  const fifo = join(folder, "fifo");
  assert.equal((await Command.run(t, ["mkfifo", fifo])).status, 0);
  const stdin = openSync(fifo, "r+");
  const command = Command.start(t, [...args], { stdin });
  afterwards(t, () => closeSync(stdin));
  writeFileSync(fifo, "hello");
  await until(() => (command.stdout.length === 5 ? true : undefined), "the echo");
  command.signal("SIGTERM");
  assert.deepEqual(await command.exit(), { status: 0, signal: null });
});

const unshare = isLinux && process.getuid?.() === 0 ? commandOnPath("unshare") : undefined;
declareIf(unshare, "Linux, root and unshare", (program) => {
  test("spipe accepts a /dev/null for both streams as process 1 of a container", limits, async (t) => {
    const { args } = await startEcho(t);
    const script = 'echo hello | exec "$@" 1<> /dev/null';
    const contained = [program, "--pid", "--fork", "--mount-proc", "--", ...args] as const;
    const command = Command.start(t, inShell(script, contained), { stdin: "ignore" });
    assert.deepEqual(await command.exit(), { status: 0, signal: null }, command.stderr);
  });
});
