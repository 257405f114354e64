/**
 * What a tunnel does after startup, when nobody waits for it: it loads what the first connection will need, and limits
 * memory.
 */

/** @param movesBytes - Whether JavaScript moves the data, which makes garbage with each write. */
export function scheduleAfterStartup({ movesBytes }: { readonly movesBytes: boolean }): void {
  setImmediate(() => {
    // The first access loads a part of Node.js.
    performance.now();
    if (!movesBytes) keepNewSpaceSmall();
  });
}

/** The last Node.js whose V8 is known to have the flag; others would complain on standard error. */
const LAST_KNOWN_NODE = 26;

/**
 * V8 lets the young generation grow from 1 MB to 16 MB and more when many clients come at once, and returns none of it
 * while the process is idle. Handshakes are no slower without that.
 *
 * V8 reads the flag whenever the young generation would grow, so it can be set this late.
 */
function keepNewSpaceSmall(): void {
  if (Number.parseInt(process.versions.node, 10) > LAST_KNOWN_NODE) return;
  process.getBuiltinModule("node:v8").setFlagsFromString("--semi-space-growth-factor=1");
}
