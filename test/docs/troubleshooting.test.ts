// docs/troubleshooting.md: each cause in its tables is reproduced, and the command prints the line beside it; with the C
// original as the far end too where possible.

import assert from "node:assert/strict";
import { chmod, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type Address, freeAddress, freePort, textOf } from "../support/addresses.js";
import { afterwards, limits, temporaryFolder } from "../support/cleanup.js";
import { deafAddress } from "../support/deaf-listener.js";
import { Listener } from "../support/listener.js";
import { Names, withNames } from "../support/names.js";
import { answers, type Probed, type ProbeOptions, runCheck, runProbe, says, serve, waits } from "../support/probing.js";
import { cOriginal, commandOnPath, ours, type Program } from "../support/programs.js";
import { ReferencePeer } from "../support/reference-peer.js";
import { withSilentNameServer } from "../support/silent-name-server.js";
import { TestSocket } from "../support/test-socket.js";
import { type Key, newKey, startSpiped } from "../support/tunnel.js";
import { readPage } from "./pages.js";

const page = "docs/troubleshooting.md";
/** Long enough for every answer, and short enough to wait for one that does not come. */
const soon = ["-o", "2"];
/** Long enough for every answer. */
const patient = ["-o", "10"];

/** The rows of the tables, by cause. */
const told: ReadonlyMap<string, string> = new Map(
  [...readPage(page).matchAll(/^\| (\S.*?) +\| `(.*)` +\| \S.* \|$/gm)].map(([, cause = "", line = ""]) => [
    cause,
    line,
  ]),
);

/** A command, and the page's names for the values in its arguments. */
interface Situation extends ProbeOptions {
  readonly flags: readonly string[];
  readonly key?: Pick<Key, "path">;
  readonly called?: Readonly<Record<string, string>>;
}

/** Reproduces a cause. @param far - The implementation of the far end. */
type Make = (t: TestContext, far: Program) => Promise<Situation>;

const ssh = says("SSH-2.0-OpenSSH_9.2p1\r\n");

function to(address: Address, flags: readonly string[] = patient): Situation {
  return { flags: ["-t", textOf(address), ...flags], called: { [textOf(address)]: "[192.0.2.4]:8022" } };
}

/** A far end with the probe's key. */
async function farEnd(
  t: TestContext,
  program: Program,
  options: {
    readonly end?: "-d" | "-e";
    readonly target: Address | string;
    readonly flags?: readonly string[];
    readonly probeFlags?: readonly string[];
  },
): Promise<Situation & { readonly key: Key; readonly source: Address }> {
  const key = await newKey(t);
  const { end = "-d", target, flags = [], probeFlags = patient } = options;
  const { source } = await startSpiped(t, { program, end, source: "tcp", target, key, flags: ["-o", "60", ...flags] });
  return { ...to(source, probeFlags), key, source };
}

const service = async (t: TestContext, server = waits) => (await serve(t, server)).address;

const keyWith =
  (make: (path: string) => Promise<unknown>, before: readonly string[] = []): Make =>
  async (t) => {
    const path = join(await temporaryFolder(t), "keyfile");
    await make(path);
    return { ...to(await freeAddress(t, "tcp")), key: { path }, called: { [path]: "keyfile" }, before };
  };

/** Drops root's privilege to read every file. */
const withoutRights =
  process.getuid?.() === 0 ? ["setpriv", "--inh-caps=-all", "--bounding-set=-dac_override,-dac_read_search"] : [];

const anyFarEnd: Readonly<Record<string, Make>> = {
  "both ends are `-e`, in front of an SSH server": async (t, far) => {
    const { source, key } = await farEnd(t, far, { target: await service(t, ssh) });
    const { source: middle } = await startSpiped(t, { program: far, end: "-e", source: "tcp", target: source, key });
    return { ...to(middle), key };
  },
  "both ends are `-e`, in front of a silent service": async (t, far) =>
    farEnd(t, far, { end: "-e", target: await service(t), probeFlags: soon }),
  "the far end is at its connection limit": async (t, far) => {
    const target = await Listener.listen(t, "tcp");
    const situation = await farEnd(t, far, { target: target.address, flags: ["-n", "1"], probeFlags: soon });
    const link = await TestSocket.connect(t, situation.source);
    await ReferencePeer.client(link, { keyFile: situation.key.bytes }).handshake();
    await target.next();
    return situation;
  },
  "the keys differ": async (t, far) => ({
    ...(await farEnd(t, far, { target: await service(t) })),
    key: await newKey(t),
  }),
  "the far end has `-g`, and this end `-f`": async (t, far) =>
    farEnd(t, far, { target: await service(t), flags: ["-g"], probeFlags: [...patient, "-f"] }),
  "this end has `-g`, and the far end `-f`": async (t, far) =>
    farEnd(t, far, { target: await service(t), flags: ["-f"], probeFlags: [...patient, "-g"] }),
  "the service hangs up": async (t, far) => farEnd(t, far, { target: await service(t, (client) => client.finish()) }),
  "the far end's target is another `spiped -d`": async (t, far) => {
    const { source } = await farEnd(t, far, { target: await service(t) });
    return farEnd(t, far, { target: source });
  },
  "nothing: the service waits for a request": async (t, far) => farEnd(t, far, { target: await service(t) }),
};

const downBehind: Make = async (t, far) => farEnd(t, far, { target: await freeAddress(t, "tcp") });

const onlyOurs: Readonly<Record<string, Make>> = { "the service is down": downBehind };
const onlyC: Readonly<Record<string, Make>> = {
  "the service is down, and the far end is the C original": downBehind,
};

const noFarEnd: Readonly<Record<string, Make>> = {
  "the key file does not exist": keyWith(async () => undefined),
  "the key file is empty": keyWith((path) => writeFile(path, "", { mode: 0o600 })),
  "the key file cannot be read": keyWith(async (path) => {
    await writeFile(path, "secret", { mode: 0o600 });
    await chmod(path, 0o000);
  }, withoutRights),
  "nothing listens there": async (t) => to(await freeAddress(t, "tcp")),
  "a firewall drops the packets": async (t) => to(await deafAddress(t), soon),
  "`-b` is not an address of this machine": async (t) =>
    to(await freeAddress(t, "tcp"), [...patient, "-b", "[203.0.113.1]"]),
  "an HTTP server is there": async (t) => to(await service(t, answers("HTTP/1.1 400 Bad Request\r\n\r\n"))),
  "an SSH server is there": async (t) => to(await service(t, ssh)),
  "a TLS server is there": async (t) => to(await service(t, answers(Buffer.from("15030300020246", "hex")))),
  "a TLS server is there that closes without an answer": async (t) => {
    // Some close at once on data that is not TLS, others send an alert first.
    const server = createServer((socket) =>
      socket
        .on("error", () => undefined)
        .once("data", () => socket.end())
        .resume(),
    );
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    afterwards(t, () => server.close());
    return to({ kind: "tcp", host: "127.0.0.1", port: (server.address() as AddressInfo).port });
  },
  "another server is there": async (t) => to(await service(t, says("220 mail.example ESMTP Postfix (Debian)\r\n"))),
};

const named: Readonly<Record<string, Make>> = {
  "the name does not exist": async (t) => ({
    flags: ["-t", "nobody.test:8022", ...patient],
    env: (await Names.create(t)).env,
    called: { "nobody.test:8022": "far.example:8022" },
  }),
  "one of several addresses is dead": async (t) => {
    const names = await Names.create(t);
    names.set("far.test", "127.0.0.3", "127.0.0.4");
    const port = await freePort("127.0.0.4");
    await Listener.listenAt(t, { kind: "tcp", host: "127.0.0.4", port });
    const called = { [`[127.0.0.3]:${port}`]: "[192.0.2.3]:8022", [`[127.0.0.4]:${port}`]: "[192.0.2.4]:8022" };
    return { flags: ["-t", `far.test:${port}`, ...soon], env: names.env, called };
  },
};

const silentNameServer = "the name server does not answer";

const checks: Readonly<Record<string, Make>> = {
  "this tunnel is already running": async (t) => {
    const { source, key } = await farEnd(t, ours, { target: await service(t) });
    const flags = ["-d", "-F", "-s", textOf(source), "-t", textOf(await service(t)), "-k", key.path];
    return { flags, called: { [textOf(source)]: "[127.0.0.1]:8022" } };
  },
  "SOURCE is not an address of this machine": async (t) =>
    checked(t, ["-s", "[203.0.113.1]:8022"], { "203.0.113.1": "192.0.2.4" }),
  "the folder of SOURCE does not exist": async (t) => {
    const folder = join(await temporaryFolder(t), "none");
    return checked(t, ["-s", join(folder, "socket")], { [folder]: "/run/none" });
  },
  "the pid file cannot be written": async (t) => {
    const folder = join(await temporaryFolder(t), "none");
    return checked(t, ["-p", join(folder, "pid")], { [folder]: "/run/none" });
  },
  "the user does not exist": async (t) => checked(t, ["-u", "nobody-here"]),
  "`-n` is more than the system allows": async (t) => {
    const situation = await checked(t, ["-n", "1000000"]);
    return { ...situation, before: ["sh", "-c", 'ulimit -n 256 && exec "$@"', "sh"] };
  },
  "`-d`, and nothing listens at TARGET": async (t) => {
    const target = textOf(await freeAddress(t, "tcp"));
    return checked(t, ["-t", target], { [target]: "[127.0.0.1]:22" });
  },
  "`-d` where `-e` is meant": async (t) => {
    const { source } = await farEnd(t, ours, { target: await service(t) });
    return checked(t, ["-t", textOf(source)]);
  },
};

/** `spiped -d --check` with these flags, and valid ones for the rest. */
async function checked(t: TestContext, flags: readonly string[], called: Situation["called"] = {}): Promise<Situation> {
  const key = await newKey(t);
  const rest = [
    ["-s", textOf(await freeAddress(t, "tcp"))],
    ["-t", textOf(await service(t, says("hello, whoever you are, and welcome\r\n")))],
    flags.includes("-p") ? [] : ["-F"],
  ];
  const missing = rest.filter(([flag]) => flag !== undefined && !flags.includes(flag));
  return { flags: ["-d", "-k", key.path, ...flags, ...missing.flat()], called };
}

test(`${page}: the causes in its tables are exactly those that a test reproduces`, () => {
  const made = [noFarEnd, anyFarEnd, onlyOurs, onlyC, named, { [silentNameServer]: undefined }, checks];
  assert.deepEqual([...told.keys()].sort(), made.flatMap((group) => Object.keys(group)).sort());
});

for (const [name, program] of [
  ["the far end is spiped", ours],
  ["the far end is spiped in C", cOriginal],
] as const) {
  const causes = { ...anyFarEnd, ...(program === ours ? onlyOurs : onlyC) };
  const skip = program === undefined ? "missing: the C original" : false;
  testAll(`what --probe says where ${name}`, causes, program ?? ours, skip);
}

testAll("what --probe says of everything else", noFarEnd, ours, needs(withoutRights[0]));
testAll("what --check says", checks, ours, false);
withNames(() => testAll("what --probe says of names", named, ours, false));

withSilentNameServer((start) => {
  test("--probe reports a silent name server", limits, async (t) => {
    const key = await newKey(t);
    const args = [...ours.spipe, "--probe", "-t", "far.test:8022", "-k", key.path, ...soon] as const;
    const command = await start(t, args, { stdin: "ignore" });
    const { status } = await command.exit();
    const lines = command.stdout.toString().split("\n");
    compare(silentNameServer, { status, lines, stderr: command.stderr }, { "far.test:8022": "far.example:8022" });
  });
});

function needs(command: string | undefined): string | false {
  return command === undefined || commandOnPath(command) !== undefined ? false : `missing: ${command}`;
}

/** Run concurrently, because they mostly wait. */
function testAll(what: string, causes: Readonly<Record<string, Make>>, far: Program, skip: string | false): void {
  if (skip !== false) process.stderr.write(`SKIPPED: ${what}: ${skip}\n`);
  test(what, { ...limits, skip, concurrency: 4 }, async (t) => {
    await Promise.all(
      Object.entries(causes).map(([cause, make]) =>
        t.test(cause, async (t) => {
          const { flags, key, called = {}, ...options } = await make(t, far);
          const run =
            causes === checks ? runCheck(t, flags, options) : runProbe(t, key ?? (await newKey(t)), flags, options);
          compare(cause, await run, called);
        }),
      ),
    );
  });
}

function compare(cause: string, { status, lines, stderr }: Probed, called: Readonly<Record<string, string>>): void {
  const expected = told.get(cause);
  assert.ok(expected !== undefined, `${page} has the line of ${cause}`);
  const renamed = lines.map((line) =>
    Object.entries(called).reduce((text, [name, onPage]) => text.replaceAll(name, onPage), line),
  );
  const pattern = withoutTimes(expected)
    .split("…")
    .map((text) => text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&"))
    .join(".*");
  const found = renamed.findIndex((line) => new RegExp(`^${pattern}$`).test(withoutTimes(line)));
  assert.notEqual(found, -1, `${expected}\n\nbut\n\n${renamed.join("\n")}\n${stderr}`);
  assert.equal(stderr, "");
  const hasFailed = lines.some((line) => line.startsWith("failed "));
  assert.equal(status, hasFailed ? 1 : 0);
  if (expected.startsWith("failed ")) {
    assert.equal(status, 1);
    // What to do.
    assert.match(lines[found + 1] ?? "", /^ {9}hint: /);
  }
}

/** Times differ each time. */
function withoutTimes(line: string): string {
  return line.replaceAll(/\b\d+(\.\d+)? m?s\b/g, "N s");
}
