// The scenarios of a run, in order. Each runs once or several times per round for each of its kinds, and produces one value
// for each of its figures. A figure has a title, a unit, the number of digits shown, and whether `more` is better.

import { bulk } from "./bulk.mjs";
import { connections } from "./connections.mjs";
import { framing } from "./framing.mjs";
import { pingPong, requestsBesideBulk } from "./latency.mjs";
import { lines, steadyLines } from "./lines.mjs";
import { idle, stalledReaders } from "./memory.mjs";
import { start } from "./start.mjs";

const PAIRS = ["ours", "c"];
const TLS = ["stunnel", "haproxy", "ghostunnel"];
const OTHERS = [...TLS, "ssh", "socat", "direct"];

/**
 * @param quick - Leave out what no goal needs, and measure the rest for a shorter time.
 */
export function scenarios(quick) {
  const others = quick ? [] : OTHERS;
  const tls = quick ? [] : TLS;
  const all = quick ? PAIRS : [...PAIRS, ...others];
  const operated = [...all, "operated"];
  const coalescing = ["ours", "c", "uncoalesced", ...tls, ...(quick ? [] : ["direct"])];
  const more = [
    bulk(1, "reverse", { bytes: 400e6, kinds: PAIRS }),
    bulk(1, "both", { bytes: 200e6, kinds: PAIRS }),
    bulk(8, "reverse", { bytes: 50e6, kinds: PAIRS }),
    bulk(8, "both", { bytes: 25e6, kinds: PAIRS }),
    connections(1, [], { count: 500, warmUp: 500, kinds: [...PAIRS, ...others] }),
    connections(1, ["-f"], { count: 2_000, warmUp: 2_000, kinds: PAIRS }),
    pingPong(16_384, { count: 1_000, kinds: all }),
  ];
  return [
    bulk(1, "forward", { bytes: quick ? 200e6 : 600e6, kinds: operated }),
    bulk(8, "forward", { bytes: quick ? 25e6 : 75e6, kinds: all }),
    pingPong(64, { count: quick ? 3_000 : 6_000, kinds: operated, timesARound: quick ? 2 : 3 }),
    requestsBesideBulk(4, { seconds: quick ? 1.5 : 3, kinds: [...PAIRS, ...tls] }),
    lines({ count: quick ? 300_000 : 600_000, kinds: coalescing, timesARound: quick ? 1 : 2 }),
    steadyLines({ rate: 10_000, seconds: quick ? 1.5 : 3, kinds: coalescing, timesARound: quick ? 1 : 2 }),
    connections(32, [], { count: quick ? 600 : 3_000, warmUp: quick ? 300 : 1_000, kinds: operated }),
    connections(32, ["-f"], {
      count: quick ? 1_000 : 4_000,
      warmUp: quick ? 2_000 : 6_000,
      kinds: [...PAIRS, "operated"],
    }),
    ...(quick ? [] : more),
    stalledReaders(quick ? [50] : [100, 200], { kinds: PAIRS, atMostRounds: 2 }),
    idle(quick ? [1_000] : [1_000, 5_000], { kinds: [...PAIRS, ...tls], atMostRounds: 2 }),
    start({ times: quick ? 3 : 5, kinds: PAIRS }),
    framing(),
  ];
}
