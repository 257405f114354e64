// Time from the start of the process to its first accepted connection.

import { freePort, run } from "../../scripts/support/processes.mjs";
import { LOAD } from "../pair.mjs";

/** Starts each several times, alternating with a Node.js that does nothing, and takes medians. */
export function start({ times, kinds }) {
  return {
    id: "start",
    kinds,
    figures: {
      milliseconds: { title: "start to listening", unit: "ms", digits: 1, more: false },
      beyondNode: { title: "start to listening, beyond `node -e 0`", unit: "ms", digits: 1, more: false },
    },
    async run(kind) {
      const listening = [];
      const nothing = [];
      for (let time = 0; time < times; time += 1) {
        const ports = { near: await freePort(), middle: await freePort(), far: await freePort() };
        listening.push(await started(`127.0.0.1:${ports.middle}`, kind.commands(ports, []).far));
        if (kind.id === "ours") nothing.push(await started("end", [process.execPath, "-e", "0"]));
      }
      const milliseconds = middle(listening);
      return { milliseconds, ...(nothing.length > 0 && { beyondNode: milliseconds - middle(nothing) }) };
    },
  };
}

async function started(until, command) {
  return JSON.parse(await run([LOAD, "start", until, ...command])).milliseconds;
}

function middle(values) {
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}
