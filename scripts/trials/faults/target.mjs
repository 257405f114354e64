// The target is down, answers late, or comes and goes.

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { dial, keepVisiting, Service, tally, visit } from "../../support/exact-traffic.mjs";
import { start } from "../../support/processes.mjs";
import { scenario, until } from "../../support/scenarios.mjs";
import { OURS, PROGRAMS, ROLES, Running, startBoth, untilDescriptors } from "../../support/tunnel-ends.mjs";

const CLIENTS = 200;
const FLAPS = 40;

for (const program of PROGRAMS) {
  scenario(`target/down ${program}`, async (trial) => {
    const service = await Service.start(trial);
    const { near, far } = await startBoth(trial, { program, target: service.port });
    assert.equal(await visit(near.port), "whole");
    const before = [near, far].map((one) => one.descriptors);
    await service.shut();
    const ends = tally(await Promise.all(Array.from({ length: CLIENTS }, () => visit(near.port))));
    if (program !== "C") assert.match(ends, new RegExp(`^${CLIENTS} × reset$`));
    const refused = /connection from .*(refused|connect-failed)/i;
    if (program !== "C") assert.equal(far.count(refused), 10, far.log);
    await service.open();
    assert.equal(await visit(near.port), "whole", "it is served as soon as the target is back");
    for (const [at, one] of [near, far].entries()) await untilDescriptors(one, before[at] + (program === "C" ? 2 : 1));
    far.signal("SIGTERM");
    if (program !== "C") {
      await far.ended();
      const sum = far.lines.find((line) => /[\d,]+ more from/.test(line));
      assert.match(sum ?? "", new RegExp(`: ${CLIENTS - 10} more from`), far.log);
    }
    return `${CLIENTS} clients: ${ends}; lines at -d: ${far.lines.length}; the next one after it is back: whole`;
  });

  scenario(`target/-d down ${program}`, async (trial) => {
    const service = await Service.start(trial);
    const { near, far, key } = await startBoth(trial, { program, target: service.port });
    assert.equal(await visit(near.port), "whole");
    far.signal("SIGKILL");
    await far.ended();
    const ends = tally(await Promise.all(Array.from({ length: CLIENTS }, () => visit(near.port))));
    if (program !== "C") assert.match(ends, new RegExp(`^${CLIENTS} × reset$`));
    void key;
    return `${CLIENTS} clients: ${ends}; lines at -e: ${near.lines.length}`;
  });

  for (const on of ROLES) {
    scenario(`target/slow to accept ${on} ${program}`, async (trial) => {
      // The listener is stopped: the system accepts as many clients as its backlog holds, the others get no answer.
      const echo = `import socket, threading
server = socket.socket(); server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(("127.0.0.1", 0)); server.listen(4); print(server.getsockname()[1], flush=True)
def serve(one):
    with one:
        while data := one.recv(65536): one.sendall(data)
while True:
    one, _ = server.accept(); threading.Thread(target=serve, args=(one,), daemon=True).start()`;
      const target = start(["python3", "-c", echo], { stdio: ["ignore", "pipe", "inherit"] });
      trial.afterwards(() => target.kill("SIGKILL"));
      let port = "";
      target.stdout.setEncoding("utf8").on("data", (text) => {
        port += text;
      });
      await until(() => port.endsWith("\n"), "the target");
      const { near, far, faulty } =
        on === "-d"
          ? await startBoth(trial, { program, target: Number(port), common: ["-o", "2"] })
          : await startBoth(trial, { program, target: Number(port), common: ["-o", "2"] });
      assert.equal(await visit(near.port), "whole");
      const before = [near, far].map((one) => one.descriptors);
      const stopped = on === "-d" ? target : far.child;
      process.kill(stopped.pid, "SIGSTOP");
      const begun = performance.now();
      const ends = [];
      const clients = Array.from({ length: 40 }, () =>
        visit(near.port).then((how) => ends.push(`${how} after ${Math.floor((performance.now() - begun) / 1_000)} s`)),
      );
      await sleep(4_000);
      process.kill(stopped.pid, "SIGCONT");
      await Promise.all(clients);
      assert.ok(!ends.some((how) => how.startsWith("wrong")), tally(ends));
      if (program !== "C") assert.ok(!ends.some((how) => how.startsWith("truncated")), tally(ends));
      assert.equal(await visit(near.port), "whole");
      for (const [at, one] of [near, far].entries()) await untilDescriptors(one, before[at] + 2);
      void faulty;
      return `40 clients, 4 s of silence, -o 2: ${tally(ends.sort())}; afterwards: whole`;
    });
  }

  scenario(`target/flapping ${program}`, async (trial) => {
    const service = await Service.start(trial);
    const { near, far } = await startBoth(trial, { program, target: service.port });
    const visits = keepVisiting(trial, near.port, { count: 4, length: 50_000 });
    await until(() => (visits.counts.whole ?? 0) > 4, "visitors");
    const before = [near, far].map((one) => one.descriptors);
    for (let count = 0; count < FLAPS; count += 1) {
      await service.shut({ resets: count % 2 === 0 });
      await sleep(50);
      await service.open();
      await sleep(100);
    }
    const counts = await visits.stop();
    if (program !== "C") assert.deepEqual(Object.keys(counts).sort(), ["reset", "whole"], JSON.stringify(counts));
    assert.equal(await visit(near.port), "whole");
    for (const [at, one] of [near, far].entries()) await untilDescriptors(one, before[at]);
    assert.ok(near.lines.length < 60 && far.lines.length < 60, `${near.lines.length} and ${far.lines.length} lines`);
    return `${FLAPS} times down and up: ${JSON.stringify(counts)}; lines: ${near.lines.length} at -e, ${far.lines.length} at -d; nothing left open`;
  });
}
void [OURS, Running, dial];
