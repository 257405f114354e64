// Sealing and opening through the addon, without any socket.

import { fileURLToPath } from "node:url";
import { run } from "../../scripts/support/processes.mjs";

const ALONE = fileURLToPath(new URL("framing-alone.mjs", import.meta.url));

export function framing() {
  const figures = {};
  for (const [size, name] of [
    [1, "1 byte"],
    [1_024, "1 KiB"],
    [8_192, "8 KiB"],
    [65_536, "64 KiB"],
  ]) {
    for (const work of ["seal", "open"]) {
      const digits = size === 1 ? 2 : 0;
      figures[`${work}${size}`] = { title: `${work}, ${name} a call`, unit: "MB/s", digits, more: true };
    }
  }
  return {
    id: "framing",
    kinds: ["ours"],
    figures,
    run: async () => JSON.parse(await run([process.execPath, ALONE])),
  };
}
