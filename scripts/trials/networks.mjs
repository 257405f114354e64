// Tunnels over bad networks: two hosts with a link between them that loses, delays, reorders, repeats and changes
// packets, is down, is cut in one direction, or has a NAT that forgets. Checks what is delivered, what is logged and
// when it is noticed, by both ends and the programs behind them. Packets are real, and treated one by one
// (support/link.py). Needs Linux, root, unshare, nsenter, ip, mount, /usr/bin/python3 and /dev/net/tun; /usr/bin/spiped
// for the C original.
//
//     node scripts/trials/networks.mjs [--pairs=ours-ours,ours-C,C-ours,C-C,plain] [--ipv6] [--brief] [SCENARIO…]
//
// Without a name: all scenarios of a few minutes. `cut`, `cut-forward`, `cut-reverse`, `nat-forgets`, `vanishes`,
// `moves` and `down-10min` last up to 20 minutes each, because C's ends do not notice.

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { parseArguments, refuseUnknown } from "../support/arguments.mjs";
import { CUTS, cutPair } from "../support/link-cuts.mjs";
import { NATS, natPair } from "../support/link-nats.mjs";
import {
  forged,
  handshakes,
  held,
  latency,
  QUALITIES,
  qualityOf,
  short,
  throughput,
} from "../support/link-qualities.mjs";
import { PAIRS, TwoHosts } from "../support/two-hosts.mjs";

const scenarios = {};
for (const [name, quality] of Object.entries(QUALITIES))
  scenarios[name] = { run: (pair) => qualityOf(pair, name, quality), together: true, family: quality.family };
scenarios.short = { run: (pair) => short(pair, "short") };
scenarios.forge = { run: (pair) => forged(pair, "forge"), together: true };
for (const loss of [10, 30]) {
  const name = `handshakes-loss-${loss}`;
  scenarios[name] = { run: (pair) => handshakes(pair, name, { loss: loss / 100 }) };
}
scenarios.latency = { run: (pair) => latency(pair, "latency"), alsoPlain: true };
scenarios.throughput = { run: (pair) => throughput(pair, "throughput"), alsoPlain: true };
scenarios.held = { run: (pair) => held(pair, "held"), alsoPlain: true, together: true };
for (const [name, cut] of Object.entries(CUTS)) {
  scenarios[name] = { run: (pair) => cutPair(pair, name, cut), together: true, isLong: cut.seconds > 300 };
}
for (const [name, nat] of Object.entries(NATS)) {
  scenarios[name] = { run: (pair) => natPair(pair, name, nat), together: true, family: 4, needsNft: true };
}

const { values, positionals } = parseArguments({
  allowPositionals: true,
  options: { pairs: { type: "string" }, ipv6: { type: "boolean" }, brief: { type: "boolean" } },
});
TwoHosts.family = values.ipv6 ? 6 : 4;
const names = positionals.length > 0 ? positionals : Object.keys(scenarios).filter((name) => !scenarios[name].isLong);
refuseUnknown("scenario", names, Object.keys(scenarios));
refuseUnknown("pair", values.pairs?.split(",") ?? [], [...PAIRS, "plain"]);
if (process.platform !== "linux" || process.getuid() !== 0 || !existsSync("/dev/net/tun")) {
  console.error("the trial needs Linux, root and /dev/net/tun");
  process.exit(2);
}
const hasC = existsSync("/usr/bin/spiped");
const hasNft = spawnSync("nft", ["--version"]).status === 0;
if (!hasC) console.error("SKIPPED: the pairs with the C original, which is not installed");

let failed = 0;
for (const name of names) {
  const { run, alsoPlain = false, together = false, family = TwoHosts.family, needsNft = false } = scenarios[name];
  if (family !== TwoHosts.family || (needsNft && !hasNft)) {
    console.error(`SKIPPED: ${name}, which needs ${family === TwoHosts.family ? "nft" : `IPv${family}`}`);
    continue;
  }
  const pairs = values.pairs?.split(",") ?? [
    ...PAIRS.filter((pair) => hasC || !pair.includes("C")),
    ...(alsoPlain ? ["plain"] : []),
  ];
  const show = (result) => {
    if (values.brief) {
      delete result.link;
      if (result.log?.length > 6) result.log.splice(6, Infinity, "…");
    }
    if (result.failures.length > 0) failed += 1;
    console.log(JSON.stringify(values.ipv6 ? { ipv6: true, ...result } : result));
  };
  // Pairs mostly wait for the network, so they run in parallel; not on links as fast as they are.
  if (together) await Promise.all(pairs.map(async (pair) => show(await run(pair))));
  else for (const pair of pairs) show(await run(pair));
}
console.log(failed === 0 ? "all as promised" : `${failed} NOT as promised`);
process.exitCode = failed === 0 ? 0 : 1;
