// Key sources other than a file: both implementations read the same key from each, as a daemon and with -F.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { type Address, textOf } from "../support/addresses.js";
import { limits, temporaryFolder } from "../support/cleanup.js";
import { establishThrough, onLinux, startDetached } from "../support/daemon.js";
import { Listener } from "../support/listener.js";
import { untilListening } from "../support/listening.js";
import { isAlive } from "../support/one-end.js";
import { ours, withCOriginal } from "../support/programs.js";
import { newKey, patience } from "../support/tunnel.js";

const options = { ...limits, skip: onLinux };

/** Bash scripts for `"$@"`, a spiped command line without `-k`. $KEY is the key file, $PIPE a named pipe. */
const sources: ReadonlyArray<readonly [name: string, script: string]> = [
  ["-k - from a pipe", 'cat "$KEY" | "$@" -k -'],
  ["-k - from a slow pipe", '(head -c 10 "$KEY"; sleep 0.2; tail -c +11 "$KEY") | "$@" -k -'],
  ["-k - from a file", '"$@" -k - < "$KEY"'],
  ["/dev/stdin from a pipe", 'cat "$KEY" | "$@" -k /dev/stdin'],
  ["/dev/stdin from a file", '"$@" -k /dev/stdin < "$KEY"'],
  ["/dev/stdin from a file that was read before", '(head -c 5 > /dev/null; "$@" -k /dev/stdin) < "$KEY"'],
  ["/dev/fd/0", 'cat "$KEY" | "$@" -k /dev/fd/0'],
  ["/proc/self/fd/0", 'cat "$KEY" | "$@" -k /proc/self/fd/0'],
  ["/proc/thread-self/fd/0", 'cat "$KEY" | "$@" -k /proc/thread-self/fd/0'],
  ["/dev/fd/3 from a file", '"$@" -k /dev/fd/3 3< "$KEY"'],
  ["/dev/fd/4 from a pipe", 'cat "$KEY" | "$@" -k /dev/fd/4 4<&0 0< /dev/null'],
  ["/proc/self/fd/9 from a file", '"$@" -k /proc/self/fd/9 9< "$KEY"'],
  ["a symlink to /dev/stdin", 'ln -s /dev/stdin "$PIPE.link"; cat "$KEY" | "$@" -k "$PIPE.link"'],
  ["a symlink to /proc/self/fd/3", 'ln -s /proc/self/fd/3 "$PIPE.link"; "$@" -k "$PIPE.link" 3< "$KEY"'],
  ["process substitution", '"$@" -k <(cat "$KEY")'],
  ["slow process substitution", '"$@" -k <(head -c 10 "$KEY"; sleep 0.2; tail -c +11 "$KEY")'],
  ["a named pipe", '(cat "$KEY" > "$PIPE") & "$@" -k "$PIPE"'],
  ["a symlink to a symlink to a file", 'ln -s "$KEY" "$PIPE.1"; ln -s "$PIPE.1" "$PIPE.2"; "$@" -k "$PIPE.2"'],
];

withCOriginal((c) => {
  for (const { name, spiped } of [c, ours]) {
    for (const [what, script] of sources) {
      for (const how of ["as a daemon", "with -F"] as const) {
        test(`${name} ${how} reads its key from ${what}`, options, async (t) => {
          const folder = await temporaryFolder(t);
          const key = await newKey(t);
          const pipe = join(folder, "pipe");
          assert.equal(spawnSync("mkfifo", [pipe]).status, 0);
          const target = await Listener.listen(t, "unix");
          const source: Address = { kind: "unix", path: join(folder, "socket") };
          const flags = ["-d", "-s", source.path, "-t", textOf(target.address), ...patience];
          const args = [...spiped, ...flags, ...(how === "with -F" ? ["-F"] : [])];
          const command = startDetached(t, ["bash", "-c", script, "bash", ...args], {
            stdin: "ignore",
            env: { KEY: key.path, PIPE: pipe },
          });
          if (how === "with -F") assert.ok(await untilListening(command, source), command.stderr);
          else assert.equal((await command.ownExit()).status, 0, command.stderr);
          assert.ok(await isAlive(await establishThrough(t, source, target, key)));
        });
      }
    }

    test(`${name} refuses a key from a descriptor that is not open`, options, async (t) => {
      const folder = await temporaryFolder(t);
      const args = ["-d", "-s", join(folder, "socket"), "-t", join(folder, "target"), "-k", "/dev/fd/500"];
      const command = startDetached(t, [...spiped, ...args]);
      assert.equal((await command.exit()).status, 1);
    });
  }

  for (const [what, script] of [
    ["an empty file", ': > "$EMPTY"; "$@" -k "$EMPTY"'],
    ["-k - of a command that fails", 'false | "$@" -k -'],
    ["/dev/null", '"$@" -k /dev/null'],
    ["an empty /dev/stdin", '"$@" -k /dev/stdin < /dev/null'],
    ["process substitution of a command that fails", '"$@" -k <(false)'],
  ] as const) {
    for (const more of [[], ["-F"], ["-D"]]) {
      test(
        `ours refuses an empty key from ${what} with ${more.join() || "no flag"}, which C accepts`,
        options,
        async (t) => {
          const folder = await temporaryFolder(t);
          const env = { EMPTY: join(folder, "empty") };
          const argsOf = (name: string) => ["-d", "-s", join(folder, name), "-t", join(folder, "target"), ...more];
          const refused = startDetached(t, ["bash", "-c", script, "bash", ...ours.spiped, ...argsOf("ours")], {
            stdin: "ignore",
            env,
          });
          assert.equal((await refused.exit()).status, 1);
          assert.match(
            refused.stderr,
            /^spiped: cannot read key file .*: it is empty, so everybody knows this key\nspiped: hint: /,
          );
          const source: Address = { kind: "unix", path: join(folder, "c") };
          const taken = startDetached(t, ["bash", "-c", script, "bash", ...c.spiped, ...argsOf("c")], {
            stdin: "ignore",
            env,
          });
          assert.ok(await untilListening(taken, source), taken.stderr);
        },
      );
    }
  }

  test("the rest of the file is the key if part of standard input was read before", options, async (t) => {
    const folder = await temporaryFolder(t);
    const key = await newKey(t);
    const whole = join(folder, "whole");
    writeFileSync(whole, Buffer.concat([Buffer.from("first line\n"), key.bytes]));
    const target = await Listener.listen(t, "unix");
    for (const { name, spiped } of [c, ours]) {
      const source: Address = { kind: "unix", path: join(folder, name) };
      const args = [...spiped, "-d", "-s", source.path, "-t", textOf(target.address), ...patience, "-k", "-"];
      const script = '(read -r; "$@") < "$WHOLE"';
      const command = startDetached(t, ["bash", "-c", script, "bash", ...args], {
        stdin: "ignore",
        env: { WHOLE: whole },
      });
      assert.equal((await command.ownExit()).status, 0, command.stderr);
      assert.ok(await isAlive(await establishThrough(t, source, target, key)));
    }
  });
});
