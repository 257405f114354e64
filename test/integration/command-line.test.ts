// Arguments that the commands do not take: a message, a hint, exit status 1, and nothing on standard output.

import assert from "node:assert/strict";
import { chmod, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { freeAddress, textOf } from "../support/addresses.js";
import { limits, temporaryFolder } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { kindsHere } from "../support/environment.js";
import { Listener } from "../support/listener.js";
import { ours, root } from "../support/programs.js";
import { TestSocket } from "../support/test-socket.js";
import { newKey, startSpiped } from "../support/tunnel.js";

/**
 * Runs a command that must fail at once.
 *
 * @param expected - Its message; a string must match completely.
 * @returns Its message.
 */
async function refuses(
  t: TestContext,
  args: readonly [string, ...string[]],
  expected: string | RegExp,
): Promise<string> {
  const { status, stdout, stderr } = await Command.run(t, args);
  assert.equal(status, 1, stderr);
  assert.equal(stdout, "");
  const [line, ...others] = stderr.trimEnd().split("\n");
  assert.match(line ?? "", /^(spiped|spipe): [^A-Z]/);
  if (typeof expected === "string") assert.equal(line?.replace(/^\w+: /, ""), expected);
  else assert.match(line ?? "", expected);
  for (const other of others) assert.match(other, /^(?:spiped|spipe): hint: /);
  return stderr;
}

const S = "[127.0.0.1]:1";
const T = "[127.0.0.1]:2";
/** A file that exists. */
const K = join(root, "package.json");
const right = ["-s", S, "-t", T, "-k", K] as const;

// All messages about arguments are in the table of test/unit/cli/mistakes.test.ts; these go through the real commands.
for (const [what, program, args, expected] of [
  ["nothing at all", ours.spiped, [], "-e or -d, -s SOURCE, -t TARGET and -k KEYFILE are missing"],
  [
    "a long option with one dash",
    ours.spiped,
    ["-encrypt", ...right],
    "-encrypt has one dash, and long options have two",
  ],
  ["-s without its address", ours.spiped, ["-F", "-e", "-t", T, "-k", K, "-s"], "-s needs a value"],
  [
    "a bad address",
    ours.spiped,
    ["-F", "-e", "-s", "80", "-t", T, "-k", K],
    'bad address for -s: "80": the host is missing',
  ],
  [
    "a path that is too long",
    ours.spiped,
    ["-F", "-e", "-s", `/${"x".repeat(108)}`, "-t", T, "-k", K],
    /the path has 109 bytes; a UNIX socket's path can have at most 10[37]$/,
  ],
  [
    "a host that does not exist",
    ours.spiped,
    ["-F", "-e", "-s", S, "-t", "no-such-host.invalid:80", "-k", K],
    /^spiped: cannot resolve no-such-host\.invalid:80: /,
  ],
  [
    "a service that does not exist",
    ours.spiped,
    ["-F", "-e", "-s", S, "-t", "[127.0.0.1]:no-such-service", "-k", K],
    'cannot resolve [127.0.0.1]:no-such-service: unknown service "no-such-service"',
  ],
  ["nothing at all", ours.spipe, [], "-t TARGET and -k KEYFILE are missing"],
  ["a leftover argument", ours.spipe, ["-t", T, "-k", K, "left-over"], 'unexpected argument "left-over"'],
  [
    "a missing key file",
    ours.spipe,
    ["-t", T, "-k", "/no/such/file"],
    "cannot read key file /no/such/file: there is no such file",
  ],
] as const) {
  test(`${program === ours.spipe ? "spipe" : "spiped"} refuses ${what}`, limits, async (t) => {
    await refuses(t, [...program, ...args], expected);
  });
}

for (const [args, expected] of [
  [
    ["help"],
    /^Usage: spiped \{-e \| -d\} -s SOURCE -t TARGET -k KEYFILE \[options\]\n {7}spiped --config FILE \[options\]\n {7}spiped keygen FILE\n {7}spiped key-id FILE\.\.\.\n\n/,
  ],
  [["help", "keygen"], /^Usage: spiped keygen FILE/],
  [["version"], /^spiped \d+\.\d+\.\d+\n$/],
] as const) {
  test(`spiped ${args.join(" ")} is understood as a command`, limits, async (t) => {
    const { status, stdout, stderr } = await Command.run(t, [...ours.spiped, ...args]);
    assert.deepEqual([status, stderr], [0, ""]);
    assert.match(stdout, expected);
  });
}

test("spiped refuses a key file that is missing, a folder, or not readable, and names it", limits, async (t) => {
  const folder = await temporaryFolder(t);
  const source = textOf(await freeAddress(t, "tcp"));
  const start = (key: string): readonly [string, ...string[]] => {
    return [...ours.spiped, "-F", "-e", "-s", source, "-t", T, "-k", key];
  };
  const missing = join(folder, "missing");
  await refuses(t, start(missing), `cannot read key file ${missing}: there is no such file`);
  await refuses(t, start(folder), `cannot read key file ${folder}: it is a folder`);
  if (process.getuid?.() === 0) return; // Root can read everything.
  const secret = join(folder, "secret");
  await writeFile(secret, "key");
  await chmod(secret, 0o000);
  await refuses(t, start(secret), /secret.*permission/);
});

test("spiped refuses a port and a UNIX socket in use, and names them", limits, async (t) => {
  const key = await newKey(t);
  for (const kind of kindsHere("tcp", "tcp6", "unix")) {
    const taken = await Listener.listen(t, kind);
    const address = textOf(taken.address);
    const args = ["-F", "-d", "-s", address, "-t", T, "-k", key.path];
    await refuses(t, [...ours.spiped, ...args], `cannot listen on ${address}: address already in use`);
  }
});

test("spiped refuses an address that is not this machine's", limits, async (t) => {
  const key = await newKey(t);
  const args = ["-F", "-d", "-s", "[192.0.2.1]:80", "-t", T, "-k", key.path];
  await refuses(t, [...ours.spiped, ...args], /192\.0\.2\.1/);
});

test("spiped and spipe print their version and help to standard output and exit 0", limits, async (t) => {
  for (const [name, command] of [
    ["spiped", ours.spiped],
    ["spipe", ours.spipe],
  ] as const) {
    for (const flag of ["-v", "--version"]) {
      const { status, stdout, stderr } = await Command.run(t, [...command, flag]);
      assert.deepEqual([status, stderr], [0, ""]);
      assert.match(stdout, new RegExp(`^${name} \\d+\\.\\d+\\.\\d+\\n$`));
    }
    const { status, stdout, stderr } = await Command.run(t, [...command, "--help"]);
    assert.deepEqual([status, stderr], [0, ""]);
    assert.match(stdout, /Examples:/);
    for (const one of ["spiped ", "spiped keygen FILE", "spiped key-id FILE...", "spipe "]) {
      assert.ok(stdout.includes(`\n  ${one}`), one);
    }
    for (const flag of ["-t, --target", "-k, --key", "-f,", "-g,", "-o,"]) assert.ok(stdout.includes(flag), flag);
  }
});

test("spiped runs through a symlink with another name, and with long and combined flags", limits, async (t) => {
  const key = await newKey(t);
  const link = join(await temporaryFolder(t), "pipe-daemon");
  await symlink(join(root, "bin/spiped.js"), link);
  const target = await Listener.listen(t, "tcp");
  const options = { source: "tcp", target: target.address, key } as const;
  await startSpiped(t, { ...options, program: { ...ours, spiped: [link] }, end: "-d" });
  await startSpiped(t, { ...options, end: "-d", flags: ["-jgn5", "-o2.5"] });
  const source = textOf(await freeAddress(t, "unix"));
  const args = [
    "--foreground",
    "--decrypt",
    "--source",
    source,
    `--target=${textOf(target.address)}`,
    "--key",
    key.path,
  ];
  const command = Command.start(t, [...ours.spiped, ...args]);
  await command.line(/listening/i);
});

test("spiped reads its key from standard input to its end with -k -", limits, async (t) => {
  const key = await newKey(t, Buffer.from("a key in two pieces"));
  const target = await Listener.listen(t, "tcp");
  const server = await startSpiped(t, { end: "-d", source: "tcp", target: target.address, key });
  const source = await freeAddress(t, "unix");
  const args = ["-F", "-e", "-s", textOf(source), "-t", textOf(server.source), "-k", "-"];
  const command = Command.start(t, [...ours.spiped, ...args], { stdin: "pipe" });
  command.stdin.write("a key in ");
  command.stdin.end("two pieces");
  await command.line(/listening/i);
  target.echo();
  const app = await TestSocket.connect(t, source);
  await app.write("hello");
  assert.equal(Buffer.from(await app.read(5)).toString(), "hello");
});

for (const path of ["/dev/stdin", "/dev/fd/0", "/dev/fd/3"]) {
  const skip = process.platform === "win32" ? "Windows has no such paths" : false;
  test(`spipe refuses -k ${path} if that is its standard input`, { ...limits, skip }, async (t) => {
    const script = 'echo the data | "$@" 3<&0';
    const args = [...ours.spipe, "-t", "[127.0.0.1]:9", "-k", path] as const;
    const { status, stdout, stderr } = await Command.run(t, ["sh", "-c", script, "sh", ...args]);
    assert.equal(stderr, `spipe: key file ${path} is standard input, which has the data; name a file\n`);
    assert.equal(stdout, "");
    assert.equal(status, 1);
  });
}
