// `spipe --probe` and `spiped --check` beyond the causes in docs/troubleshooting.md: what they do not change, hostile
// peers, and every kind of address.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readdirSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { freeAddress, textOf } from "../support/addresses.js";
import { limits } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { startDaemon, stopDaemon } from "../support/daemon.js";
import { kindsHere } from "../support/environment.js";
import { Listener } from "../support/listener.js";
import { isAlive, startServerEnd } from "../support/one-end.js";
import { answers, runCheck, runProbe, type Server, says, serve, waits } from "../support/probing.js";
import { ours } from "../support/programs.js";
import type { TestSocket } from "../support/test-socket.js";
import { newKey, startSpiped, stopAndGetLines } from "../support/tunnel.js";

const soon = ["-o", "4"];
const patient = ["-o", "10"];

/** Random bytes that are never text. */
const nonce = randomBytes(32).fill(0x80, 0, 1);

let refusals = 0;

/** What servers do, the message for it, and whether it takes a timeout. */
const hostile: Readonly<Record<string, readonly [server: Server, line: RegExp, limit?: readonly string[]]>> = {
  "hangs up": [(client) => client.finish(), /^failed {3}answer: it closed the connection after 0 of 32 bytes/],
  "talks without an end": [
    async (client) => {
      while (await client.write(randomBytes(65_536)));
    },
    /^failed {3}answer: it sent at least \d+ bytes unasked/,
  ],
  "sends a byte at a time": [
    async (client) => {
      while (await client.write(Uint8Array.of(0x80))) await new Promise((resolve) => setTimeout(resolve, 200));
    },
    /^failed {3}answer: only \d+ of the 32 bytes that spiped sends/,
    soon,
  ],
  "sends everything back": [
    async (client) => {
      while (await client.write(await client.read(32)));
    },
    /^failed {3}answer: it echoes what it receives/,
  ],
  "sends 32 bytes and nothing more": [
    says(nonce),
    /^failed {3}handshake: received 0 of 288 bytes of the reply within 4 s$/,
    soon,
  ],
  "hangs up whatever it is told, later and sooner": [
    async (client) => {
      await client.write(nonce);
      // By then, the first connection has received this end's whole handshake, and the second has not.
      if (refusals++ === 0) await client.read(320);
      client.finish();
    },
    /^failed {3}service: the far end closed the connection before this end sent anything$/,
  ],
  "hangs up in the middle of its answer": [
    async (client) => {
      await client.write(nonce);
      await client.read(320);
      await client.write(randomBytes(100));
      client.finish();
    },
    /^failed {3}handshake: it closed the connection after 100 of 288 bytes$/,
  ],
  "sends 320 bytes of rubbish": [
    async (client) => {
      await client.write(nonce);
      await client.read(1);
      await client.write(randomBytes(288));
    },
    /^failed {3}handshake: wrong MAC/,
  ],
  "sends what a terminal would obey": [
    answers("HTTP/1.1 200 \x1b[2J\x07evil\r\n\r\n"),
    /^failed {3}answer: it speaks HTTP \("HTTP\/1\.1 200"\), not spiped$/,
  ],
};

// Run concurrently, because they mostly wait.
describe("spipe --probe and spiped --check", { concurrency: 4 }, () => {
  for (const kind of kindsHere("tcp", "tcp6", "unix")) {
    test(
      `a probe over ${kind} sends the service nothing, and leaves no connection and no log message`,
      limits,
      async (t) => {
        const { spiped, target, key } = await startServerEnd(t, { kind });
        const probing = runProbe(t, key, ["-t", textOf(spiped.source), "-g", ...patient]);
        const service = await target.next();
        await service.write("SSH-2.0-test\r\n");
        assert.equal(await service.end(), "fin");
        assert.equal(service.waitingBytes, 0);
        service.finish();
        const { status, lines, stderr } = await probing;
        assert.deepEqual([status, stderr], [0, ""]);
        assert.deepEqual(
          lines.map((line) => line.replace(/:.*/, "")),
          ["key file", "name", "connection", "answer", "handshake", "forward secrecy", "service"].map(
            (step) => `ok       ${step}`,
          ),
        );
        assert.match(lines.at(-1) ?? "", /it speaks SSH \("SSH-2\.0-test"\)$/);
        assert.deepEqual(await stopAndGetLines(spiped), []);
      },
    );
  }

  test("a probe closes a service that does not end", limits, async (t) => {
    // With pumps, a reset after an end is noticed on the next write.
    const { spiped, target, key } = await startServerEnd(t, { kind: "tcp", env: { SPIPED_RELAY: "on" } });
    const { status } = await runProbe(t, key, ["-t", textOf(spiped.source), ...patient]);
    assert.equal(status, 0);
    assert.equal(await (await target.next()).end(), "fin");
    assert.equal((await stopAndGetLines(spiped)).length, 1);
  });

  test("a probe of hostile servers finishes", { ...limits, concurrency: 4 }, async (t) => {
    const key = await newKey(t);
    await Promise.all(
      Object.entries(hostile).map(([what, [server, line, limit = patient]]) =>
        t.test(`a server that ${what}`, async (t) => {
          const { address } = await serve(t, server);
          const { status, lines, stderr } = await runProbe(t, key, ["-t", textOf(address), ...limit]);
          assert.deepEqual([status, stderr], [1, ""]);
          assert.ok(
            lines.some((one) => line.test(one)),
            lines.join("\n"),
          );
          for (const one of lines) assert.match(one, /^[\x20-\x7e]*$/);
        }),
      ),
    );
  });

  test("a probe whose second connection is refused uses the result of the first", limits, async (t) => {
    const listener = await serve(t, async (client) => {
      listener.close();
      await client.write(nonce);
      await client.read(320);
      client.finish();
    });
    const { status, lines } = await runProbe(t, await newKey(t), ["-f", "-t", textOf(listener.address), ...patient]);
    assert.equal(status, 1);
    assert.match(
      lines.at(-2) ?? "",
      /^failed {3}handshake: it closed the connection as soon as it could check this end's key/,
    );
  });

  test("a probe connected to another client reports it", limits, async (t) => {
    const first: TestSocket[] = [];
    const { address } = await serve(t, async (client) => {
      const other = first.pop();
      if (other === undefined) {
        first.push(client);
        return;
      }
      // The nonce of each, then its answer to the other's nonce.
      await Promise.all([other.write(await client.read(32)), client.write(await other.read(32))]);
      await Promise.all([other.write(await client.read(288)), client.write(await other.read(288))]);
    });
    const key = await newKey(t);
    const probes = [1, 2].map(() => runProbe(t, key, ["-t", textOf(address), ...patient]));
    for (const { status, lines } of await Promise.all(probes)) {
      assert.equal(status, 1);
      assert.match(
        lines.at(-2) ?? "",
        /^failed {3}handshake: the peer is a client too: another client with the same key/,
      );
      assert.match(lines.at(-1) ?? "", /hint: both ends run -e/);
    }
  });

  test("SIGINT stops a probe at once", limits, async (t) => {
    const listener = await Listener.listen(t, "tcp");
    const key = await newKey(t);
    const args = [...ours.spipe, "--probe", "-k", key.path, "-t", textOf(listener.address), "-o", "600"] as const;
    const probing = Command.start(t, args, { stdin: "ignore" });
    await listener.next();
    probing.signal("SIGINT");
    assert.deepEqual(await probing.exit(), { status: null, signal: "SIGINT" });
  });

  for (const [args, program] of [
    [[...ours.spipe, "--probe"], "spipe"],
    [[...ours.spiped, "-d", "--check", "-F", "-s", "[127.0.0.1]:1"], "spiped"],
  ] as const) {
    test(`${args.slice(-1)}: ${program} refuses a closed standard output, and accepts /dev/null`, {
      ...limits,
      skip: process.platform !== "linux" ? "only Linux shows that it was closed" : false,
    }, async (t) => {
      const key = await newKey(t);
      const all = [...args, "-k", key.path, "-t", textOf(await freeAddress(t, "tcp"))];
      const inShell = async (script: string) => Command.run(t, ["sh", "-c", script, "sh", ...all]);
      const { status, stderr } = await inShell('exec "$@" >&-');
      assert.equal(status, 1);
      assert.match(
        stderr,
        new RegExp(`^${program}: cannot write to standard output: it is closed\n${program}: hint: [^\n]*\n$`),
      );
      // Exit status 1 because nothing listens on the target.
      assert.deepEqual((({ status, stderr }) => [status, stderr])(await inShell('exec "$@" > /dev/null')), [1, ""]);
    });
  }

  test("errors in the arguments go to standard error", limits, async (t) => {
    const { status, lines, stderr } = await runProbe(t, await newKey(t), []);
    assert.deepEqual([status, lines], [1, []]);
    assert.match(stderr, /^spipe: -t TARGET is missing\n/);
  });

  test("--check does not disturb a running daemon or its files", limits, async (t) => {
    const { spiped, key, target } = await startServerEnd(t, { kind: "tcp" });
    const daemon = await startDaemon(t, { end: "-e", source: "unix", target: spiped.source, key });
    const source = textOf(daemon.source);
    const folder = dirname(source);
    const before = readdirSync(folder);
    const flags = ["-e", "-s", source, "-t", textOf(spiped.source), "-k", key.path, ...patient];
    const { status, lines } = await runCheck(t, flags);
    assert.equal(status, 0, lines.join("\n"));
    for (const line of [
      `warning  source: ${source} is in use: something listens there already, this tunnel or another program`,
      `warning  pid file: ${daemon.pidFile} is held by pid ${daemon.id}: this tunnel is probably running already`,
    ]) {
      assert.ok(lines.includes(line), lines.join("\n"));
    }
    assert.ok(lines.some((line) => /^ok {7}handshake: /.test(line)));
    assert.deepEqual(readdirSync(folder), before);
    // One connection: the probe's, and none through the daemon.
    assert.equal(target.acceptedCount, 1);
    await stopDaemon(daemon);
    assert.deepEqual(readdirSync(folder), []);
  });

  test("--check creates no file, and does not disturb open connections", limits, async (t) => {
    const { spiped, key, establish } = await startServerEnd(t, { kind: "tcp" });
    const open = await establish();
    const pidFile = join(dirname(key.path), "pid");
    const { address } = await serve(t, waits);
    const flags = [
      "-d",
      "-s",
      textOf(await freeAddress(t, "tcp")),
      "-t",
      textOf(address),
      "-k",
      key.path,
      "-p",
      pidFile,
    ];
    const { status, lines } = await runCheck(t, flags);
    assert.equal(status, 0);
    assert.deepEqual(
      lines.map((line) => line.replace(/:.*/, "")),
      ["pid file", "limit", "key file", "source", "name", "connection", "service"].map((step) => `ok       ${step}`),
    );
    assert.deepEqual(readdirSync(dirname(key.path)), ["key"]);
    assert.ok(await isAlive(open));
    assert.deepEqual(
      (await runCheck(t, ["-d", "-F", "-s", textOf(spiped.source), "-t", textOf(address), "-k", key.path])).status,
      0,
    );
  });

  test("--check reports a status and a source with the same address", limits, async (t) => {
    const key = await newKey(t);
    const { address } = await serve(t, waits);
    const where = await freeAddress(t, "tcp");
    assert.ok(where.kind === "tcp");
    const flags = ["-d", "-F", "-t", textOf(address), "-k", key.path, "-s", textOf(where), "--status"];
    for (const status of [textOf(where), `[0.0.0.0]:${where.port}`]) {
      const { status: exit, lines } = await runCheck(t, [...flags, status]);
      const line = `failed   source: ${textOf(where)} conflicts with the status address ${status}`;
      assert.ok(lines.includes(line), lines.join("\n"));
      assert.equal(exit, 1);
    }
  });

  test("--check of a file reports on its tunnels in order, and on shared things once", limits, async (t) => {
    const { address } = await serve(t, says("SSH-2.0-test\r\n"));
    const key = await newKey(t);
    const free = async () => textOf(await freeAddress(t, "tcp"));
    const target = textOf(address);
    const file = join(dirname(key.path), "tunnels.toml");
    const text = `
      status = "${target}"
      [defaults]
      key = "${key.path}"
      [encrypt.slow]
      source = "${await free()}"
      target = "${textOf((await serve(t, waits)).address)}"
      timeout = 1.5
      [encrypt.bad]
      source = "${await free()}"
      target = "${await free()}"
      [decrypt.good]
      source = "${await free()}"
      target = "${target}"
    `;
    await writeFile(file, text);
    const checked = await runCheck(t, ["--config", file, "-F"]);
    assert.deepEqual([checked.status, checked.stderr], [1, ""]);
    const steps = checked.lines.filter((line) => !line.startsWith(" "));
    assert.deepEqual(
      steps.map((line) => line.replace(/^(\S+) +((?:(?:slow|good|bad): )?[^:]+).*/, "$1 $2")),
      [
        ...["ok limit", "warning status"],
        ...["ok slow: key file", "ok slow: source", "ok slow: name", "ok slow: connection", "failed slow: answer"],
        ...["ok bad: key file", "ok bad: source", "ok bad: name", "failed bad: connection"],
        ...["ok good: key file", "ok good: source", "ok good: name", "ok good: connection", "ok good: service"],
      ],
    );
    await writeFile(file, text.replace("target", "tarjet"));
    const mistaken = await runCheck(t, ["--config", file, "-F"]);
    assert.deepEqual([mistaken.status, mistaken.lines], [1, []]);
    assert.match(mistaken.stderr, /encrypt\.slow\.tarjet: unknown setting; did you mean target\?/);
  });

  test("--check with --proxy-protocol warns of a web server that does not understand it", limits, async (t) => {
    const key = await newKey(t);
    const { address } = await serve(t, says("HTTP/1.1 400 Bad Request\r\n\r\n"));
    const source = textOf(await freeAddress(t, "unix"));
    const flags = ["-F", "-d", "-s", source, "-t", textOf(address), "-k", key.path, "--proxy-protocol", ...soon];
    const { status, lines } = await runCheck(t, flags);
    assert.equal(status, 0);
    assert.match(
      lines.join("\n"),
      /^warning {2}service: it speaks HTTP \("HTTP\/1\.1 400 Bad Request"\): it did not understand /m,
    );
    assert.match(lines.join("\n"), /does not seem to accept a PROXY header/);
  });

  test("--check continues without a key, and exits 1", limits, async (t) => {
    const { source } = await startSpiped(t, {
      end: "-d",
      source: "tcp",
      target: (await serve(t, waits)).address,
      key: await newKey(t),
    });
    const flags = ["-e", "-F", "-s", textOf(await freeAddress(t, "tcp")), "-t", textOf(source), "-k", "/nowhere/key"];
    const { status, lines } = await runCheck(t, flags);
    assert.equal(status, 1);
    assert.match(lines[1] ?? "", /^failed {3}key file: /);
    assert.match(lines.at(-1) ?? "", /^ok {7}connection: /);
  });
});
