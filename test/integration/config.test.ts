// --config: many tunnels of one file, and what SIGHUP does when the file has changed.

import assert from "node:assert/strict";
import { closeSync } from "node:fs";
import { chmod, copyFile, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { freeAddress, textOf } from "../support/addresses.js";
import { afterwards, limits, until } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { ConfigFile, table } from "../support/config-file.js";
import { markOf, onLinux, readPidFile, startDetached } from "../support/daemon.js";
import { expectBytes } from "../support/expect.js";
import { Listener } from "../support/listener.js";
import { namedPipe, openForReader } from "../support/pipes.js";
import { descriptorsOf, untilEnded } from "../support/processes.js";
import { ours, withCommands } from "../support/programs.js";
import { randomData } from "../support/random-data.js";
import { TestSocket } from "../support/test-socket.js";

type Ends = Awaited<ReturnType<Awaited<ReturnType<ConfigFile["pair"]>>["connectThrough"]>>;

/** Checks that a connection carries data both ways. */
async function carries({ app, service }: Ends, words = "there"): Promise<void> {
  await app.write(words);
  expectBytes(await service.read(words.length), words);
  await service.write(words.toUpperCase());
  expectBytes(await app.read(words.length), words.toUpperCase());
}

async function refuses(address: Parameters<typeof TestSocket.connect>[1], t: Parameters<typeof TestSocket.connect>[0]) {
  await assert.rejects(TestSocket.connect(t, address), /ECONNREFUSED|ENOENT/);
}

/** The messages of a spiped that must not start. */
async function saidTo(t: Parameters<typeof Command.run>[0], args: readonly string[], env = {}) {
  const { status, stdout, stderr } = await Command.run(t, [...ours.spiped, ...args], { stdin: "ignore", env });
  assert.deepEqual([status, stdout], [1, ""], stderr);
  return stderr.trimEnd().split("\n");
}

test("the tunnels of a file carry data, each to its own service", limits, async (t) => {
  const file = await ConfigFile.make(t);
  const [a, b] = [await file.pair("a"), await file.pair("b", "unix")];
  await file.write(a.text(), b.text({ "require-forward-secrecy": true }));
  const command = await file.start();
  await command.line(/listening on /, 4);
  for (const pair of [a, b, a]) await carries(await pair.connectThrough());
  command.signal("SIGINT");
  assert.equal((await command.exit()).status, 1);
});

test("the files of a folder are one configuration", limits, async (t) => {
  const file = await ConfigFile.make(t);
  const folder = join(file.folder, "tunnels.d");
  await mkdir(folder);
  const [a, b] = [await file.pair("a"), await file.pair("b")];
  await writeFile(join(folder, "a.toml"), a.text({ key: file.keyFile }, { key: file.keyFile }));
  await writeFile(join(folder, "b.toml"), b.text() + table("defaults", { key: file.keyFile }));
  await file.start(["--config", folder]);
  for (const pair of [a, b]) await carries(await pair.connectThrough());
});

test("SPIPED_CONFIG names the file, and -e, -d or an address on the command line overrides it", limits, async (t) => {
  const file = await ConfigFile.make(t);
  const a = await file.pair("a");
  await file.write(a.text());
  await file.start([], { SPIPED_CONFIG: file.path });
  await carries(await a.connectThrough());
  const [line] = await saidTo(t, ["-F", "-e"], { SPIPED_CONFIG: file.path });
  assert.equal(line, "spiped: -s SOURCE, -t TARGET and -k KEYFILE are missing");
});

test("--config overrides a tunnel's environment variables, and this is logged", limits, async (t) => {
  const file = await ConfigFile.make(t);
  const a = await file.pair("a");
  await file.write(a.text());
  const env = { SPIPED_DECRYPT: "yes", SPIPED_SOURCE: "nonsense", SPIPED_KEY: "-", SPIPED_FOREGROUND: "yes" };
  const command = await file.start(["--config", file.path], env);
  await carries(await a.connectThrough());
  await command.line(
    /^spiped: SPIPED_DECRYPT, SPIPED_SOURCE and SPIPED_KEY have no effect beside --config, which takes tunnels/,
  );
});

test(
  "a tunnel's flags with --config are an error, as are their environment variables with SPIPED_CONFIG",
  limits,
  async (t) => {
    const args = ["-e", "-s", "[::1]:1", "-n", "100", "-j"];
    const expected = "spiped: --config cannot be combined with -e, -s, -j and -n";
    const [line, hint, ...more] = await saidTo(t, ["-F", "--config", "/nowhere", ...args]);
    assert.deepEqual([line, more], [expected, []]);
    assert.equal(hint, "spiped: hint: write these in the file, for each tunnel or in [defaults]");
    const [other] = await saidTo(t, ["-F"], { SPIPED_CONFIG: "/nowhere", SPIPED_KEY: "k" });
    assert.equal(other, "spiped: --config cannot be combined with -k");
  },
);

test("every mistake in a file is reported at the start, and nothing is started", limits, async (t) => {
  const file = await ConfigFile.make(t);
  const a = await file.pair("a");
  await file.write(a.text({ sorce: "x", timeout: "5" }), a.text());
  const lines = await saidTo(t, ["-F", "--config", file.path]);
  assert.deepEqual(lines, [`spiped: ${file.path}:10: this key, or this table, is there already`]);
  await file.write(a.text({ sorce: "x", timeout: "5" }, { threads: 3 }));
  assert.deepEqual(await saidTo(t, ["--config", file.path]), [
    `spiped: ${file.path}:4: encrypt.a.sorce: unknown setting; did you mean source?`,
    `spiped: ${file.path}:5: encrypt.a.timeout: a number is needed, and this is a text`,
    `spiped: ${file.path}:9: decrypt.a-far.threads: it counts for the whole process; write it above all tables`,
  ]);
  assert.deepEqual(await saidTo(t, ["-F", "--config", join(file.folder, "none")]), [
    `spiped: ${join(file.folder, "none")}: cannot be read: there is no such file`,
  ]);
});

test("a start that fails names the tunnel", limits, async (t) => {
  const file = await ConfigFile.make(t);
  const a = await file.pair("a");
  const taken = await Listener.listen(t, "tcp");
  await file.write(a.text(), table("encrypt.b", { source: textOf(taken.address), target: "/nowhere" }));
  const [line] = await saidTo(t, ["-F", "--config", file.path]);
  assert.match(line ?? "", /^spiped: b: cannot listen on .*: .*in use/i);
  await file.write(a.text({}, { key: "/nowhere/key" }));
  assert.match((await saidTo(t, ["-F", "--config", file.path]))[0] ?? "", /^spiped: a-far: cannot read key file/);
});

test(
  "on SIGHUP new tunnels start, removed ones drain, changed ones do both, and others are undisturbed",
  limits,
  async (t) => {
    const file = await ConfigFile.make(t);
    const [same, changed, gone, added] = [
      await file.pair("same"),
      await file.pair("changed"),
      await file.pair("gone"),
      await file.pair("added", "unix"),
    ];
    await file.write(same.text(), changed.text(), gone.text());
    const command = await file.start();
    await command.line(/listening on /, 6);
    const old = [await same.connectThrough(), await changed.connectThrough(), await gone.connectThrough()];
    for (const one of old) await carries(one);
    await file.write(same.text(), changed.text({ "max-connections": 1 }, { "keep-alive": false }), added.text());
    const lines = await file.reload(command);
    assert.match(lines.at(-1) ?? "", /tunnels: 2 unchanged, 2 changed, 2 added, 2 removed$/);
    for (const one of old) await carries(one, "still there");
    for (const pair of [same, changed, added]) await carries(await pair.connectThrough());
    for (const address of [gone.near, gone.far]) await refuses(address, t);
    // The new limit is the new tunnel's alone: the old one's connection does not count.
    await command.line(/connection limit reached \(-n 1\)/);
    for (const { app, service } of old) {
      app.finish();
      service.finish();
      await Promise.all([app.end(), service.end()]);
    }
    command.signal("SIGINT");
    await command.exit();
  },
);

test("a reload in which nothing has changed reads the keys again", limits, async (t) => {
  const file = await ConfigFile.make(t);
  const a = await file.pair("a");
  await file.write(a.text());
  const command = await file.start();
  await file.reload(command);
  await command.line(/reloaded key file .*key/, 2);
  await carries(await a.connectThrough());
});

test("a file with mistakes changes nothing, is reported completely, and the next one is used", limits, async (t) => {
  const file = await ConfigFile.make(t);
  const [a, b] = [await file.pair("a"), await file.pair("b")];
  await file.write(a.text());
  const command = await file.start();
  const old = await a.connectThrough();
  const line = (pattern: RegExp) => (lines: readonly string[]) =>
    assert.ok(
      lines.some((one) => pattern.test(one)),
      lines.join("\n"),
    );
  for (const [text, ...patterns] of [
    [
      a.text({ nonsense: 1 }, { timeout: "x" }) + b.text(),
      /encrypt\.a\.nonsense: /,
      /decrypt\.a-far\.timeout: /,
      /2 errors; keeping the old configuration/,
    ],
    ["", /there is no tunnel in it/, /1 error; keeping the old configuration/],
    ["\u0000", /keeping the old configuration/],
    [b.text().slice(0, -40), /keeping the old configuration/],
  ] as const) {
    await (text === "" ? writeFile(file.path, "") : file.write(text));
    const lines = await file.reload(command);
    for (const pattern of patterns) line(pattern)(lines);
    // The keys are reloaded all the same, and do not make it look like a success.
    assert.equal(lines.filter((one) => /reloaded key file/.test(one)).length, 2, lines.join("\n"));
    assert.match(lines.at(-1) ?? "", /keeping the old configuration/);
    await carries(old);
    await carries(await a.connectThrough());
    await refuses(b.near, t);
  }
  await rm(file.path);
  line(/there is no such file/)(await file.reload(command));
  await file.write(a.text(), b.text());
  line(/2 unchanged, 2 added/)(await file.reload(command));
  await carries(old);
  await carries(await b.connectThrough());
});

test("removing a key ends its connections, including those of a tunnel that has changed", limits, async (t) => {
  const file = await ConfigFile.make(t);
  const a = await file.pair("a");
  const folder = join(file.folder, "keys");
  await mkdir(folder, { mode: 0o700 });
  await copyFile(file.keyFile, join(folder, "alice.key"));
  await writeFile(join(folder, "bob.key"), randomData("another client's key", 32), { mode: 0o600 });
  await file.write(a.text({}, { key: folder }));
  const command = await file.start();
  const ends = await a.connectThrough();
  await carries(ends);
  await rm(join(folder, "alice.key"));
  await file.write(a.text({}, { key: folder, "max-connections": 7 }));
  await file.reload(command);
  assert.equal(await ends.service.end(), "reset");
  assert.equal(await ends.app.end(), "reset");
});

test(
  "a new tunnel that cannot start is reported, nothing is changed, and the next SIGHUP retries",
  limits,
  async (t) => {
    const file = await ConfigFile.make(t);
    const [a, b] = [await file.pair("a"), await file.pair("b")];
    await file.write(a.text());
    const command = await file.start();
    const old = await a.connectThrough();
    const taken = await Listener.listenAt(t, b.near);
    await file.write(a.text({}, { timeout: 7 }), b.text());
    const lines = (await file.reload(command)).join("\n");
    assert.match(lines, /: b: cannot listen on .*: .*in use/i);
    assert.match(lines, /cannot apply .*: 1 error; keeping the old configuration/);
    await carries(old);
    await carries(await a.connectThrough());
    taken.close();
    await until(
      () =>
        TestSocket.connect(t, b.near).then(
          () => undefined,
          () => true,
        ),
      "the port to be free",
    );
    assert.match((await file.reload(command)).join("\n"), /1 unchanged, 1 changed, 2 added/);
    await carries(await b.connectThrough());
  },
);

test("a changed tunnel that cannot start leaves the old one running", limits, async (t) => {
  const file = await ConfigFile.make(t);
  const a = await file.pair("a");
  await file.write(a.text());
  const command = await file.start();
  const old = await a.connectThrough();
  const taken = await Listener.listen(t, "tcp");
  for (const keys of [{ key: "/nowhere/key" }, { source: textOf(taken.address) }]) {
    await file.write(a.text(keys));
    const lines = await file.reload(command);
    assert.equal(lines.filter((one) => /reloaded key file/.test(one)).length, 2, lines.join("\n"));
    assert.match(lines.at(-1) ?? "", /1 error; keeping the old configuration/);
    await carries(old);
    await carries(await a.connectThrough());
  }
  // Restored: nothing has to be done.
  await file.write(a.text());
  assert.match((await file.reload(command)).at(-1) ?? "", /tunnels: 2 unchanged$|reloaded key file .*key/);
});

test("names, sources and roles can be swapped without refusing connections", limits, async (t) => {
  const file = await ConfigFile.make(t);
  const [a, b] = [await file.pair("a"), await file.pair("b")];
  await file.write(a.text(), b.text());
  const command = await file.start();
  await command.line(/listening on /, 4);
  await file.write(
    a.text({ source: textOf(b.near) }).replace("encrypt.a", "encrypt.other"),
    b.text({ source: textOf(a.near) }),
  );
  assert.match((await file.reload(command)).join("\n"), /2 unchanged, 1 changed, 1 added, 1 removed/);
  const app = await TestSocket.connect(t, b.near);
  await carries({ app, service: await a.service.next() });
  // An encrypting end becomes a decrypting one on the same socket.
  const address = textOf(a.service.address);
  await file.write(
    table("encrypt.e", { source: textOf(b.near), target: textOf(a.near) }),
    table("decrypt.turned", { source: textOf(a.near), target: address, "keep-alive": false }),
  );
  assert.match((await file.reload(command)).join("\n"), /2 added, 4 removed/);
  await carries({ app: await TestSocket.connect(t, b.near), service: await a.service.next() });
});

test("no connection is refused while changed tunnels take over their sockets", limits, async (t) => {
  const file = await ConfigFile.make(t);
  const [a, b] = [await file.pair("a"), await file.pair("b", "unix")];
  for (const { service } of [a, b]) service.echo();
  await file.write(a.text(), b.text());
  const command = await file.start();
  await command.line(/listening on /, 4);
  let isOver = false;
  let served = 0;
  const visit = async (pair: typeof a): Promise<void> => {
    while (!isOver) {
      const app = await TestSocket.connect(t, pair.near);
      await app.write("hello");
      expectBytes(await app.read(5), "hello");
      app.finish();
      await app.end();
      served += 1;
    }
  };
  const visits = Promise.all([a, a, b, b].map(visit));
  for (let round = 1; round <= 12; round += 1) {
    const before = served;
    await until(() => (served > before + 2 ? true : undefined), "visitors to be served");
    const keys = { "max-connections": 100 + round };
    await file.write(...(round % 3 === 0 ? ["x ="] : []), a.text(keys, keys), b.text(keys, keys));
    const lines = await file.reload(command);
    assert.match(lines.join("\n"), round % 3 === 0 ? /keeping the old configuration/ : /4 changed/);
  }
  isOver = true;
  await visits;
});

test("reloads leak no descriptors", { ...limits, skip: onLinux }, async (t) => {
  const file = await ConfigFile.make(t);
  const [same, changed, other] = [
    await file.pair("same"),
    await file.pair("changed"),
    await file.pair("other", "unix"),
  ];
  await file.write(same.text(), changed.text());
  const command = await file.start();
  const old = await same.connectThrough();
  await carries(old);
  const texts = [[changed.text({ timeout: 9 })], [changed.text(), other.text()], ["x ="]];
  const round = async (): Promise<void> => {
    for (const text of texts) {
      await file.write(...text, same.text());
      await file.reload(command);
    }
    await file.write(same.text(), changed.text());
    await file.reload(command);
  };
  await round();
  const before = descriptorsOf(command.id);
  for (let count = 0; count < 4; count += 1) await round();
  await until(
    () => (descriptorsOf(command.id) <= before ? true : undefined),
    () => `${before} descriptors, not ${descriptorsOf(command.id)}`,
  );
  await carries(old);
});

test("many SIGHUPs at once result in the last version of the file", limits, async (t) => {
  const file = await ConfigFile.make(t);
  const [a, b] = [await file.pair("a"), await file.pair("b")];
  await file.write(a.text());
  const command = await file.start();
  for (let count = 0; count < 50; count += 1) {
    await file.write(a.text({ "max-connections": 1 + count }));
    command.signal("SIGHUP");
  }
  await file.write(a.text(), b.text());
  command.signal("SIGHUP");
  await command.line(new RegExp(`listening on ${textOf(b.near).replaceAll(/[[\].]/g, "\\$&")}`));
  await carries(await b.connectThrough());
  const count = command.lines.filter((line) => /reloaded .*toml/.test(line)).length;
  assert.ok(count < 51, `${count} readings`);
});

test("a reload that waits for a key blocks neither connections nor shutdown", {
  ...limits,
  skip: onLinux,
}, async (t) => {
  const file = await ConfigFile.make(t);
  const [a, b] = [await file.pair("a"), await file.pair("b")];
  await file.write(a.text());
  const command = await file.start();
  const pipe = await namedPipe(t);
  await file.write(a.text(), b.text({ key: pipe }));
  command.signal("SIGHUP");
  const writer = await until(() => openForReader(pipe), "spiped to open the key");
  afterwards(t, () => closeSync(writer));
  const one = await a.connectThrough();
  await carries(one);
  for (const socket of [one.app, one.service]) socket.finish();
  await Promise.all([one.app.end(), one.service.end()]);
  // Another one has to wait until this one is over.
  command.signal("SIGHUP");
  command.signal("SIGTERM");
  const { status } = await command.exit();
  assert.deepEqual([status, command.lines.some((line) => /again; tunnels/.test(line))], [0, false], command.stderr);
});

test("a change that needs a restart is reported by its key", limits, async (t) => {
  const file = await ConfigFile.make(t);
  const a = await file.pair("a");
  await file.write(table("", { threads: 1 }), a.text());
  const command = await file.start();
  await file.write(table("", { threads: 2, "pid-file": "/nowhere/pid" }), a.text());
  const lines = (await file.reload(command)).join("\n");
  for (const key of ["threads", "pid-file"])
    assert.match(lines, new RegExp(`${key} has changed; restart spiped to apply it`));
  assert.match(lines, /2 unchanged/);
});

test("a change of a key that the command line overrides needs no restart", limits, async (t) => {
  const file = await ConfigFile.make(t);
  const a = await file.pair("a");
  await file.write(table("", { "drain-timeout": 1 }), a.text());
  const command = await file.start(["--config", file.path, "--drain-timeout", "5"]);
  await file.write(table("", { "drain-timeout": 2 }), a.text());
  assert.doesNotMatch((await file.reload(command)).join("\n"), /restart/);
  command.signal("SIGUSR1");
  await command.line(/last reload \d+ s ago: all of it is in use$/);
});

test("a daemon names its pid file after its configuration file by default, and reloads", {
  ...limits,
  skip: onLinux,
}, async (t) => {
  const file = await ConfigFile.make(t);
  const [a, b] = [await file.pair("a"), await file.pair("b")];
  const named = join(file.folder, "named.pid");
  for (const [text, args, pidFile] of [
    ["", [], `${file.path}.pid`],
    [table("", { "pid-file": named }), [], named],
    [table("", { "pid-file": "/nowhere/pid" }), ["-p", named], named],
  ] as const) {
    await file.write(text, a.text());
    const first = startDetached(t, [...ours.spiped, "--config", file.path, ...args], { env: markOf(t) });
    const { status } = await first.ownExit();
    assert.equal(status, 0, first.stderr);
    const id = readPidFile(pidFile);
    await carries(await a.connectThrough());
    await file.write(text, a.text(), b.text());
    process.kill(id, "SIGHUP");
    await first.line(/2 unchanged, 2 added/);
    await carries(await b.connectThrough());
    process.kill(id, "SIGINT");
    await untilEnded(id);
    await assert.rejects(readFile(pidFile), /ENOENT/);
  }
});

test("with -D, the names of all tunnels are looked up until they resolve", { ...limits, skip: onLinux }, async (t) => {
  const file = await ConfigFile.make(t);
  const a = await file.pair("a");
  await file.write(a.text({ target: "nobody.invalid:80" }));
  const command = Command.start(t, [...ours.spiped, "-FD", "--config", file.path], { stdin: "ignore" });
  await command.line(/cannot resolve nobody\.invalid:80: .*retrying/);
  command.signal("SIGUSR1");
  await command.line(/: starting, .*; cannot resolve nobody\.invalid:80: /);
  command.signal("SIGHUP");
  command.signal("SIGTERM");
  assert.equal((await command.exit()).status, 0);
});

test("SIGHUP reloads the file while names are being resolved", { ...limits, skip: onLinux }, async (t) => {
  const file = await ConfigFile.make(t);
  const a = await file.pair("a");
  await file.write(a.text({ target: "nobody.invalid:80" }));
  const command = Command.start(t, [...ours.spiped, "-FD", "--config", file.path], { stdin: "ignore" });
  await command.line(/cannot resolve nobody\.invalid:80: .*retrying/);
  // Another name, a missing key, and a mistake: it keeps waiting.
  const line = async (text: string, pattern: RegExp) => {
    await file.write(text);
    await file.reload(command);
    await command.line(pattern);
  };
  await line(a.text({ target: "nobody-else.invalid:80" }), /cannot resolve nobody-else\.invalid:80: .*retrying/);
  await line(a.text({ key: "/nowhere/key" }), /cannot apply .*: 1 error/);
  await line("x =", /1 error; keeping the old configuration/);
  await line(a.text(), /listening on /);
  await carries(await a.connectThrough());
  await line(a.text({ timeout: 9 }), /1 unchanged, 1 changed/);
  command.signal("SIGTERM");
  await command.line(/SIGTERM: shutting down/);
  command.signal("SIGHUP");
  await command.line(/SIGHUP: shutting down/);
  command.signal("SIGINT");
  assert.equal((await command.exit()).status, 1);
});

test("spiped changes to the user of -u after all tunnels listen", {
  ...limits,
  skip: process.getuid?.() === 0 ? onLinux : "needs root",
}, async (t) => {
  const file = await ConfigFile.make(t);
  const [a, b] = [await file.pair("a"), await file.pair("b")];
  const user = "65534:65534";
  await chmod(file.folder, 0o755);
  await file.write(table("", { user }), a.text(), b.text());
  const command = await file.start();
  await command.line(/listening on /, 4);
  assert.match(await readFile(`/proc/${command.id}/status`, "utf8"), /^Uid:\t65534\t65534/m);
  await carries(await b.connectThrough());
  const low = await freeAddress(t, "tcp");
  await file.write(
    table("", { user }),
    a.text(),
    table("encrypt.low", { source: "[127.0.0.1]:1", target: textOf(low) }),
  );
  // Sources or keys that need root require a restart.
  await file.reload(command);
  await command.line(/: low: .*(EACCES|[Pp]ermission denied)/);
});

withCommands(["prlimit"], ([prlimit = ""]) => {
  test("the sockets of many tunnels count as used descriptors: clients wait, and none is lost", {
    ...limits,
    skip: onLinux,
  }, async (t) => {
    const file = await ConfigFile.make(t);
    const service = await Listener.listen(t, "unix");
    const sources = await Promise.all(Array.from({ length: 20 }, () => freeAddress(t, "unix")));
    const target = textOf(service.address);
    await file.write(...sources.map((source, at) => table(`encrypt.t${at}`, { source: textOf(source), target })));
    const args = [prlimit, "--nofile=150", ...ours.spiped, "-F", "--config", file.path] as const;
    const command = Command.start(t, args, { stdin: "ignore" });
    await command.line(/listening on /, 20);
    const [first] = sources;
    assert.ok(first !== undefined);
    for (let count = 0; count < 60; count += 1) await TestSocket.connect(t, first);
    await command.line(/new clients wait/);
    assert.ok(descriptorsOf(command.id) <= 150);
    assert.doesNotMatch(command.stderr, /EMFILE|[Tt]oo many open files|cannot accept/);
  });
});
