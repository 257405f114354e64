// A hundred restarts under load, with socket activation: no client is refused, none is cut off.

import assert from "node:assert/strict";
import { closeSync } from "node:fs";
import { addon } from "../../../dist/native/native.js";
import { keepVisiting, Service } from "../../support/exact-traffic.mjs";
import { freePort } from "../../support/processes.mjs";
import { scenario, until } from "../../support/scenarios.mjs";
import { argsOf, newKey, ROLES, Running, startEnd } from "../../support/tunnel-ends.mjs";

const RESTARTS = 100;

for (const on of ROLES) {
  for (const overlap of [false, true]) {
    scenario(
      `restarts/${RESTARTS} with socket activation ${on}, ${overlap ? "the next one beside the last" : "one after the other"}`,
      async (trial) => {
        const service = await Service.start(trial);
        const key = newKey(trial);
        const port = await freePort();
        const socket = addon.listenTcp("127.0.0.1", port, 1_024);
        trial.afterwards(() => closeSync(socket));
        const far =
          on === "-e" ? await startEnd(trial, "-d", { target: service.port, key, flags: ["-n", "0"] }) : undefined;
        const target = far?.port ?? service.port;
        const launch = async () => {
          const args = ["-F", on, "-s", "systemd:", "-t", `[127.0.0.1]:${target}`, "-k", key, "-o", "60"];
          const script = 'export LISTEN_PID=$$ LISTEN_FDS=1; exec "$@"';
          const stdio = ["ignore", "ignore", "pipe", socket];
          const one = new Running(trial, ["sh", "-c", script, "sh", ...argsOf("relay"), ...args], { stdio });
          await one.said(/listening on/);
          return one;
        };
        let running = await launch();
        const near =
          on === "-e"
            ? port
            : (await startEnd(trial, "-e", { target: port, key, flags: ["-n", "0", "-o", "60"] })).port;
        const visits = keepVisiting(trial, near, { count: 4 });
        await until(() => (visits.counts.whole ?? 0) > 4, "clients");
        const begun = performance.now();
        const statuses = new Set();
        const words = [];
        for (let count = 0; count < RESTARTS; count += 1) {
          const next = overlap ? await launch() : undefined;
          running.signal("SIGTERM");
          statuses.add(await running.ended());
          words.push(...running.lines.filter((line) => /connection from|cannot|error/.test(line)));
          running = next ?? (await launch());
        }
        const seconds = (performance.now() - begun) / 1_000;
        const counts = await visits.stop();
        assert.deepEqual(Object.keys(counts), ["whole"], JSON.stringify(counts));
        assert.deepEqual([...statuses], [0]);
        assert.deepEqual(words, []);
        return `${RESTARTS} restarts in ${seconds.toFixed(0)} s, ${counts.whole} clients, none refused, none cut; each exited with status 0, without a message about a connection`;
      },
    );
  }
}
