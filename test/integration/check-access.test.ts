// spiped --check: what a start could write, and what the user of -u could still do afterwards.

import assert from "node:assert/strict";
import { chmodSync, chownSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { freeAddress, textOf } from "../support/addresses.js";
import { limits, temporaryFolder } from "../support/cleanup.js";
import { runCheck, serve } from "../support/probing.js";
import { asRoot } from "../support/root.js";
import type { TestSocket } from "../support/test-socket.js";
import { newKey } from "../support/tunnel.js";

/** The arguments of an end whose target is not there; everybody can reach its key. */
async function argsOf(t: TestContext, role: "-e" | "-d" = "-d") {
  const key = await newKey(t);
  chmodSync(dirname(key.path), 0o755);
  const source = textOf(await freeAddress(t, "tcp"));
  return { key: key.path, args: [role, "-s", source, "-t", "/nowhere", "-k", key.path] };
}

/** Greets, and closes. */
async function greets(client: TestSocket): Promise<void> {
  await client.write("hello\r\n");
  client.finish();
}

/** Those of the lines that are no verdict `ok`, without their hints. */
function problems(lines: readonly string[]): readonly string[] {
  return lines.filter((line) => /^(warning|failed)/.test(line));
}

asRoot(["unshare", "mount", "setpriv"], () => {
  for (const role of ["-d", "-e"] as const) {
    test(`--check with ${role} -u warns of a key file that the user cannot reload`, limits, async (t) => {
      const { key, args } = await argsOf(t, role);
      chmodSync(key, 0o600);
      const check = async () =>
        (await runCheck(t, [...args, "-F", "-u", "nobody"])).lines.filter((line) => /key/.test(line));
      assert.deepEqual(problems(await check()), [
        `warning  key file: -u: this user cannot read key file ${key}: SIGHUP cannot reload it; chgrp it, and chmod 640`,
      ]);
      if (role === "-e") return;
      chmodSync(key, 0o644);
      assert.deepEqual(problems(await check()), [
        `warning  key file: key file ${key} can be read by everybody on this machine; chown nobody it, and chmod 600`,
      ]);
      // As the message says.
      chownSync(key, 65_534, 0);
      chmodSync(key, 0o600);
      assert.deepEqual(problems(await check()), []);
      chmodSync(dirname(key), 0o700);
      assert.match((await check()).join("\n"), /^warning .*-u: this user cannot read key file/m);
    });
  }

  test("--check with -u warns of a configuration that the user cannot reload", limits, async (t) => {
    const folder = await temporaryFolder(t);
    const { key } = await argsOf(t);
    chmodSync(key, 0o644);
    const path = join(folder, "tunnels.toml");
    const table = `[decrypt.a]\nsource = "${textOf(await freeAddress(t, "tcp"))}"\ntarget = "/nowhere"\nkey = "${key}"\n`;
    writeFileSync(path, table);
    const check = async (config: string) => (await runCheck(t, ["--config", config, "-F", "-u", "nobody"])).lines;
    const warning = /^warning +configuration: -u: this user cannot read configuration (file|folder) /;
    chmodSync(folder, 0o755);
    assert.ok(!(await check(path)).some((line) => warning.test(line)));
    chmodSync(path, 0o600);
    assert.ok((await check(path)).some((line) => warning.test(line)));
    assert.ok((await check(folder)).some((line) => warning.test(line)));
  });

  test("--check with -u fails if the user may not connect to the target", limits, async (t) => {
    const { key, args } = await argsOf(t);
    const { address } = await serve(t, greets, "unix");
    const target = textOf(address);
    chmodSync(dirname(target), 0o755);
    const check = async () => {
      const { status, lines } = await runCheck(t, [...args.slice(0, 3), "-t", target, "-k", key, "-F", "-u", "nobody"]);
      return [status, lines.filter((line) => /may not connect/.test(line))];
    };
    chmodSync(target, 0o700);
    assert.deepEqual(await check(), [1, [`failed   user: -u: user nobody may not connect to ${target}`]]);
    chmodSync(target, 0o777);
    assert.deepEqual(await check(), [0, []]);
  });

  test("--check with -u tells what the user cannot remove at exit", limits, async (t) => {
    const { key, args } = await argsOf(t);
    const folder = await temporaryFolder(t);
    chmodSync(folder, 0o755);
    const [pidFile, source, status] = [join(folder, "pid"), join(folder, "s"), join(folder, "status")];
    const check = async () => {
      const flags = ["-s", source, "-p", pidFile, "--status", status, "-u", "nobody"];
      return (await runCheck(t, ["-d", ...args.slice(3, 5), "-k", key, ...flags])).lines;
    };
    const before = await check();
    assert.ok(
      before.includes(
        `ok       pid file: ${pidFile} can be written; at exit, user nobody can empty it, but not remove it`,
      ),
    );
    assert.ok(before.some((line) => line.startsWith(`warning  source: -u: user nobody cannot remove ${source}`)));
    assert.ok(before.some((line) => line.startsWith(`warning  status: -u: user nobody cannot remove ${status}`)));
    // The start gives only the status socket to the user.
    chmodSync(folder, 0o1777);
    const sticky = await check();
    assert.ok(
      sticky.some((line) => /^ok +pid file: .*empty it, but not remove it/.test(line)),
      sticky.join("\n"),
    );
    assert.ok(sticky.some((line) => line.startsWith(`warning  source: -u: user nobody cannot remove ${source}`)));
    assert.ok(!sticky.some((line) => line.startsWith("warning  status")));
    chownSync(folder, 65_534, 0);
    const after = await check();
    assert.ok(after.includes(`ok       pid file: ${pidFile} can be written`), after.join("\n"));
    assert.ok(!after.some((line) => /^warning +(source|status)/.test(line)), after.join("\n"));
    assert.deepEqual(readdirSync(folder), []);
  });

  test("--check as a user who may not become that of -u goes by owners and modes", limits, async (t) => {
    const { args } = await argsOf(t);
    const before = ["setpriv", "--reuid=65534", "--clear-groups"];
    const { status, lines, stderr } = await runCheck(t, [...args, "-F", "-u", "games"], { before });
    assert.deepEqual([status, stderr], [1, ""]);
    assert.ok(
      lines.some((line) => /^failed +user: this user cannot switch to games$/.test(line)),
      lines.join("\n"),
    );
  });

  test("--check reports a pid file for which the disk has no room, and leaves it as it is", limits, async (t) => {
    const { args } = await argsOf(t);
    const folder = await temporaryFolder(t);
    const pidFile = join(folder, "a.pid");
    const script = (made: string) =>
      `mount -t tmpfs -o size=4k none "$0" && cd "$0" && ${made} && head -c 4096 /dev/zero >x; "$@"; ls; cat a.pid; echo`;
    const check = (made: string) =>
      runCheck(t, [...args, "-p", pidFile], { before: ["unshare", "--mount", "sh", "-c", script(made), folder] });
    const full = `failed   pid file: cannot write pid file ${pidFile}: the disk is full`;
    for (const made of ["true", ": >a.pid"]) {
      const { lines } = await check(made);
      assert.ok(lines.includes(full), lines.join("\n"));
      assert.equal(lines.at(-2), "x");
    }
    // A stale one has room for another process id.
    const { lines } = await check("printf 1234 >a.pid");
    assert.ok(lines.includes(`ok       pid file: ${pidFile} can be written`), lines.join("\n"));
    assert.equal(lines.at(-1), "1234");
  });
});

test("--check leaves an existing pid file as it is", limits, async (t) => {
  const { args } = await argsOf(t);
  const pidFile = join(await temporaryFolder(t), "a.pid");
  writeFileSync(pidFile, "4194000");
  const before = statSync(pidFile).mtimeMs;
  const { lines } = await runCheck(t, [...args, "-p", pidFile]);
  assert.ok(lines.includes(`ok       pid file: ${pidFile} can be written`));
  assert.deepEqual([readFileSync(pidFile, "utf8"), statSync(pidFile).mtimeMs], ["4194000", before]);
  for (const [path, said] of [
    [dirname(pidFile), "it is a folder"],
    [join(dirname(pidFile), "none/a.pid"), "there is no such folder"],
  ] as const) {
    const checked = await runCheck(t, [...args, "-p", path]);
    assert.equal(checked.status, 1);
    assert.ok(checked.lines.includes(`failed   pid file: cannot write pid file ${path}: ${said}`));
  }
  assert.ok(!existsSync(join(dirname(pidFile), "none")));
});
