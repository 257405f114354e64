// Words that the commands do not take: one clear line that says what to do, exit status 1, and nothing on standard output.

import assert from "node:assert/strict";
import { chmod, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { freeAddress, textOf } from "../support/addresses.js";
import { limits, temporaryFolder } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { Listener } from "../support/listener.js";
import { kindsHere } from "../support/machine.js";
import { ours, root } from "../support/programs.js";
import { TestSocket } from "../support/test-socket.js";
import { newKey, startSpiped } from "../support/tunnel.js";

/**
 * Runs a command that must fail at once.
 *
 * @param expected - What it says; a text is all of it.
 * @returns What it said.
 */
async function refuses(
  t: TestContext,
  words: readonly [string, ...string[]],
  expected: string | RegExp,
): Promise<string> {
  const { status, stdout, stderr } = await Command.run(t, words);
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
/** Exists, so that only the words under test are wrong. */
const K = join(root, "package.json");
const right = ["-s", S, "-t", T, "-k", K] as const;

const noDirection = "either -e or -d is needed";
const bothSecrecies = "-f gives forward secrecy up and -g demands it; take one of them";
const leftOver = 'too many arguments, from "left-over" on';
const twice = (flag: string): string => `${flag} is given more than once`;

const wrongForSpiped: readonly (readonly [string, readonly string[], string | RegExp])[] = [
  ["nothing at all", [], noDirection],
  ["neither -e nor -d", ["-F", ...right], noDirection],
  ["-e and -d", ["-F", "-e", "-d", ...right], "-e and -d exclude each other; take one of them"],
  ["no -s", ["-F", "-e", "-t", T, "-k", K], "-s SOURCE is missing"],
  ["no -t", ["-F", "-e", "-s", S, "-k", K], "-t TARGET is missing"],
  ["no -k", ["-F", "-e", "-s", S, "-t", T], "-k KEYFILE is missing"],
  ["-f and -g", ["-F", "-e", "-f", "-g", ...right], bothSecrecies],
  ["-fg in one word", ["-Fefg", ...right], bothSecrecies],
  ["-e twice", ["-F", "-e", "-e", ...right], twice("-e, --encrypt")],
  ["-dd in one word", ["-Fdd", ...right], twice("-d, --decrypt")],
  ["-s twice", ["-F", "-e", ...right, "-s", S], twice("-s, --source <address>")],
  ["-k twice, once as a long name", ["-F", "-e", ...right, "--key", K], twice("-k, --key <file>")],
  ["-n twice", ["-F", "-e", ...right, "-n", "1", "-n", "1"], twice("-n, --max-connections <count>")],
  ["a leftover word", ["-F", "-e", ...right, "left-over"], leftOver],
  ["a flag that does not exist", ["-F", "-e", ...right, "-x"], "unknown option '-x'"],
  ["-s without its address", ["-F", "-e", "-t", T, "-k", K, "-s"], "option '-s, --source <address>' argument missing"],
  ...["", "x", "-1", "1.5", "1e9999", "0x10", "100000000000"].map(
    (n) =>
      [`-n ${JSON.stringify(n)}`, ["-F", "-e", ...right, "-n", n], `bad number for -n: ${JSON.stringify(n)}`] as const,
  ),
  ...["", "x", "-1", "inf", "nan", "1s", "1e99"].map(
    (o) =>
      [
        `-o ${JSON.stringify(o)}`,
        ["-F", "-e", ...right, "-o", o],
        `bad number of seconds for -o: ${JSON.stringify(o)}`,
      ] as const,
  ),
  ...(
    [
      ["", "it is empty"],
      [":80", "the host is missing"],
      ["localhost", "the port is missing"],
      ["localhost:", "the port is missing"],
      [" [127.0.0.1]:80", "it begins or ends with a blank"],
      ["[127.0.0.1]", "the port is missing"],
      ["[127.0.0.1]:", "the port is missing"],
      ["[127.0.0.1]:65536", "the port is above 65535"],
      ["[127.0.0.1:80", "the closing bracket is missing"],
      ["[127.0.0.1]80", "a colon and the port must follow the bracket"],
      ["[::g]:80", "what stands in brackets is no IP address"],
      ["::1", '":" is no IPv6 address; the port is missing, or brackets'],
      ["relative/path", "the port is missing"],
      [`/${"x".repeat(108)}`, /the path has 109 bytes and a UNIX socket takes 10[37]$/],
    ] as const
  ).flatMap(([address, why]) => {
    const named = JSON.stringify(address);
    const said = typeof why === "string" ? `bad address ${named}: ${why}` : why;
    return [
      [`-s ${named}`, ["-F", "-e", "-s", address, "-t", T, "-k", K], said] as const,
      [`-t ${named}`, ["-F", "-e", "-s", S, "-t", address, "-k", K], said] as const,
    ];
  }),
  [
    "a target port 0",
    ["-F", "-e", "-s", S, "-t", "[127.0.0.1]:0", "-k", K],
    `bad address "[127.0.0.1]:0": nobody can listen on port 0`,
  ],
  [
    "a -b that is a path",
    ["-F", "-e", ...right, "-b", "/socket"],
    `bad address "/socket": connections cannot be bound to a UNIX socket`,
  ],
  [
    "a -b that is no address",
    ["-F", "-e", ...right, "-b", "[1.2.3]"],
    `bad address "[1.2.3]": what stands in brackets is no IP address`,
  ],
  [
    "a host that does not exist",
    ["-F", "-e", "-s", S, "-t", "no-such-host.invalid:80", "-k", K],
    /^spiped: cannot look up no-such-host\.invalid:80: /,
  ],
  [
    "a service that does not exist",
    ["-F", "-e", "-s", S, "-t", "[127.0.0.1]:no-such-service", "-k", K],
    /^spiped: cannot look up \[127\.0\.0\.1\]:no-such-service: /,
  ],
];

for (const [what, words, expected] of wrongForSpiped) {
  test(`spiped refuses ${what}`, limits, async (t) => {
    await refuses(t, [...ours.spiped, ...words], expected);
  });
}

for (const [what, words, expected] of [
  ["nothing at all", [], "-t TARGET is missing"],
  ["no -t", ["-k", K], "-t TARGET is missing"],
  ["no -k", ["-t", T], "-k KEYFILE is missing"],
  ["-t twice", ["-t", T, "-k", K, "-t", T], twice("-t, --target <address>")],
  ["-f and -g", ["-t", T, "-k", K, "-fg"], bothSecrecies],
  ["-s, which is spiped's", ["-t", T, "-k", K, "-s", S], "unknown option '-s'"],
  ["a leftover word", ["-t", T, "-k", K, "left-over"], leftOver],
  ["a bad number", ["-t", T, "-k", K, "-o", "soon"], 'bad number of seconds for -o: "soon"'],
  ["a bad address", ["-t", "nowhere", "-k", K], `bad address "nowhere": the port is missing`],
  [
    "a key file that is not there",
    ["-t", T, "-k", "/no/such/file"],
    "cannot read key file /no/such/file: there is no such file",
  ],
  [
    "-k -, since standard input is the data",
    ["-t", T, "-k", "-"],
    "-k - would take the key from the data; name a file",
  ],
] as const) {
  test(`spipe refuses ${what}`, limits, async (t) => {
    await refuses(t, [...ours.spipe, ...words], expected);
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
  if (process.getuid?.() === 0) return; // The superuser reads everything.
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
    const words = ["-F", "-d", "-s", address, "-t", T, "-k", key.path];
    await refuses(t, [...ours.spiped, ...words], `cannot listen on ${address}: listen: Address already in use`);
  }
});

test("spiped refuses an address that is not this machine's", limits, async (t) => {
  const key = await newKey(t);
  const words = ["-F", "-d", "-s", "[192.0.2.1]:80", "-t", T, "-k", key.path];
  await refuses(t, [...ours.spiped, ...words], /192\.0\.2\.1/);
});

test("spiped and spipe tell their version and their help on standard output and exit 0", limits, async (t) => {
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
    for (const flag of ["-t, --target", "-k, --key", "-f,", "-g,", "-o,"]) assert.ok(stdout.includes(flag), flag);
  }
});

test("spiped runs through a symbolic link of another name, and with long and packed flags", limits, async (t) => {
  const key = await newKey(t);
  const link = join(await temporaryFolder(t), "pipe-daemon");
  await symlink(join(root, "bin/spiped.js"), link);
  const target = await Listener.listen(t, "tcp");
  const options = { source: "tcp", target: target.address, key } as const;
  await startSpiped(t, { ...options, program: { ...ours, spiped: [link] }, end: "-d" });
  await startSpiped(t, { ...options, end: "-d", flags: ["-jgn5", "-o2.5"] });
  const source = textOf(await freeAddress(t, "unix"));
  const words = [
    "--foreground",
    "--decrypt",
    "--source",
    source,
    `--target=${textOf(target.address)}`,
    "--key",
    key.path,
  ];
  const command = Command.start(t, [...ours.spiped, ...words]);
  await command.line(/listening/i);
});

test("spiped reads its key from standard input to its end with -k -", limits, async (t) => {
  const key = await newKey(t, Buffer.from("a key in two pieces"));
  const target = await Listener.listen(t, "tcp");
  const server = await startSpiped(t, { end: "-d", source: "tcp", target: target.address, key });
  const source = await freeAddress(t, "unix");
  const words = ["-F", "-e", "-s", textOf(source), "-t", textOf(server.source), "-k", "-"];
  const command = Command.start(t, [...ours.spiped, ...words], { stdin: "pipe" });
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
  test(`spipe refuses -k ${path} where that is its standard input`, { ...limits, skip }, async (t) => {
    const script = 'echo the data | "$@" 3<&0';
    const words = [...ours.spipe, "-t", "[127.0.0.1]:9", "-k", path] as const;
    const { status, stdout, stderr } = await Command.run(t, ["sh", "-c", script, "sh", ...words]);
    assert.equal(stderr, `spipe: key file ${path} is standard input, which has the data; name a file\n`);
    assert.equal(stdout, "");
    assert.equal(status, 1);
  });
}
