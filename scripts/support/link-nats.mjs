// A router with the kernel's NAT between near and the link: it forgets connections that are idle for long, or all at once.

import { setTimeout as sleep } from "node:timers/promises";
import { TwoHosts } from "./two-hosts.mjs";

/** What `conntrack --flush` does, which is not installed everywhere. */
const FLUSH = `import socket, struct
netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
netlink.send(struct.pack("=IHHIIBBH", 20, 0x102, 5, 1, 0, 2, 0, 0))
error = struct.unpack_from("=i", netlink.recv(4096), 16)[0]
assert error == 0, error`;

/**
 * `timeoutSeconds`: after how long the NAT forgets an idle connection. `idleSeconds`: how long one is idle between two
 * questions, of which the second has to be answered if it `lasts`.
 */
export const NATS = {
  "kernel-nat-90s": { timeoutSeconds: 90, idleSeconds: 240, lasts: true },
  "kernel-nat-30s": { timeoutSeconds: 30, idleSeconds: 200, lasts: false },
  "kernel-nat-flushed": { timeoutSeconds: 600, idleSeconds: 200, lasts: false, isFlushed: true },
};

/** Three connections: one idle, one busy, one that asks rarely. @returns How each goes on. */
export async function natPair(pair, name, { timeoutSeconds, idleSeconds, lasts, isFlushed = false }) {
  const hosts = await new TwoHosts(pair, { router: true }).start();
  try {
    const established = `net.netfilter.nf_conntrack_tcp_timeout_established=${timeoutSeconds}`;
    await hosts.run("router", "sysctl", "-qw", established);
    hosts.open({ id: "idle", purpose: "idle" });
    hosts.open({ id: "busy", purpose: "busy" });
    hosts.ask({ id: "asking", count: 2, everyMs: idleSeconds * 1_000 });
    await sleep(3_000);
    const begun = Date.now();
    if (isFlushed) await hosts.run("router", "/usr/bin/python3", "-c", FLUSH);
    await sleep((idleSeconds + 20) * 1_000);
    const since = (at) => Math.round((at - begun) / 1_000);
    const [near, far] = [await hosts.look("near"), await hosts.look("far")];
    const stateOf = (states, id) => {
      const state = states.get(id);
      return state?.end ? `${state.end} after ${since(state.endedAt)} s` : "goes on";
    };
    const ids = ["idle", "busy", "asking"];
    const states = Object.fromEntries(
      ids.flatMap((id) => [
        [`near ${id}`, stateOf(near, id)],
        [`far ${id}`, stateOf(far, id)],
      ]),
    );
    const answers = near.get("asking").answers;
    hosts.ask({ id: "new", count: 3 });
    const { end } = (await hosts.ended("near", "new", 30_000)) ?? {};
    const failures = [];
    if (pair === "ours-ours" && lasts !== (answers === 2)) failures.push(`${answers} answers`);
    if (
      pair === "ours-ours" &&
      !lasts &&
      Object.entries(states).some(([id, how]) => how === "goes on" && (isFlushed || !id.includes("busy")))
    )
      failures.push("an end was not told");
    if (end !== "end") failures.push("no new connection");
    const log = hosts.logs
      .filter(({ line }) => !line.includes("listening"))
      .map(({ at, host, line }) => `${host} +${since(at)} s ${line}`);
    return { scenario: name, pair, failures, answers, ends: states, log };
  } finally {
    hosts.end();
  }
}
