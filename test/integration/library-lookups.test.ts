// The library with a name server that never answers: only the caller of a lookup waits for it, until its timeout or
// signal.

import assert from "node:assert/strict";
import { test } from "node:test";
import { limits } from "../support/cleanup.js";
import { root } from "../support/programs.js";
import { withSilentNameServer } from "../support/silent-name-server.js";

const head = `
  import { readdirSync, readFileSync } from "node:fs";
  import { once } from "node:events";
  import { connect, createKey, createServer, createTunnel, generateKey } from "spiped";
  const key = createKey(generateKey());
  const server = createServer({ key }, (stream) => stream.pipe(stream));
  await server.listen("[127.0.0.1]:0");
  const port = server.address.split("]:")[1];
  const hour = 3_600_000;
  /** Starts a connect that gets no answer. */
  const hang = (name, options = {}) => connect({ key, target: name + ":80", timeoutMs: hour, ...options });
  const codeOf = async (stream) => (await once(stream, "error"))[0].code;
  const echo = async (target) => {
    const stream = connect({ key, target, timeoutMs: hour });
    stream.end(target.replace(port, "PORT"));
    console.log((await stream.toArray()).join(""));
  };
  /** Occupies threads of this process with lookups: as many as asked for, or more. */
  const lookupsFrom = async (least) => {
    while (lookups() < least) await new Promise((soon) => setImmediate(soon));
    return lookups();
  };
  const lookups = () => readdirSync("/proc/self/task")
    .filter((task) => readFileSync("/proc/self/task/" + task + "/comm", "latin1").trim() === "lookup").length;
`;

withSilentNameServer((start) => {
  for (const [what, program, output] of [
    [
      "a lookup without an answer delays neither addresses, other names, nor other timeouts",
      `const hung = hang("far.test").on("error", () => undefined);
       await echo("[127.0.0.1]:" + port);
       await echo("localhost:" + port);
       console.log(await codeOf(hang("other.test", { timeoutMs: 50 })));
       console.log(await codeOf(hang("far.test", { timeoutMs: 50 })));
       hung.destroy();`,
      ["[127.0.0.1]:PORT", "localhost:PORT", "SPIPED_TIMEOUT", "SPIPED_TIMEOUT"],
    ],
    [
      "connects to one name share its lookup, and connects to many names are bounded",
      `const hung = [...Array(50).keys()].map(() => hang("far.test").on("error", () => undefined));
       console.log(await lookupsFrom(1));
       for (let name = 0; name < 50; name += 1) hung.push(hang("far" + name + ".test").on("error", () => undefined));
       console.log(await lookupsFrom(8));
       for (const stream of hung) stream.destroy();
       await echo("[127.0.0.1]:" + port);`,
      ["1", "8", "[127.0.0.1]:PORT"],
    ],
    [
      "a signal ends connect, createTunnel and listen at once, and the process does not wait for the lookups",
      `const abort = new AbortController();
       const { signal } = abort;
       const stream = hang("far.test", { signal });
       const tunnel = createTunnel({ key, role: "encrypt", source: "[127.0.0.1]:0", target: "far.test:80", signal });
       const other = createServer({ key, signal }).listen("other.test:80");
       setImmediate(() => abort.abort());
       const [[error], ...others] = await Promise.all([
         once(stream, "error"), tunnel.catch((thrown) => thrown), other.catch((thrown) => thrown),
       ]);
       for (const thrown of [error, ...others]) console.log(thrown.name);`,
      ["AbortError", "AbortError", "AbortError"],
    ],
  ] as const) {
    test(what, limits, async (t) => {
      const code = `${head}${program}\nawait server.close();\nconsole.log("closed");`;
      const args = [process.execPath, "--input-type=module", "--eval", code] as const;
      const command = await start(t, args, { stdin: "ignore", cwd: root });
      assert.deepEqual(await command.exit(), { status: 0, signal: null });
      assert.deepEqual(command.stdout.toString().split("\n"), [...output, "closed", ""]);
    });
  }
});
