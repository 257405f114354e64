/**
 * What a tunnel does once it listens and nobody waits for it: what the first connection needs is loaded before it comes,
 * and the memory is kept for whom there is.
 */

/** @param movesBytes - Whether JavaScript moves bytes, and makes garbage of each write. */
export function settle({ movesBytes }: { readonly movesBytes: boolean }): void {
  setImmediate(() => {
    // The part of Node.js behind it is loaded when it is first asked.
    performance.now();
    if (!movesBytes) keepNewSpaceSmall();
  });
}

/** The last Node.js whose V8 is known to have the flag; without it, V8 would write on standard error that it has none. */
const LAST_KNOWN_NODE = 26;

/**
 * V8 lets the memory for new objects grow from 1 MB to 16 and more, in which a crowd of clients leaves what is soon
 * garbage, and gives none of it back while the process is idle. Handshakes take no more time without.
 *
 * The flag is looked at whenever that memory would grow, so that it may still be set.
 */
function keepNewSpaceSmall(): void {
  if (Number.parseInt(process.versions.node, 10) > LAST_KNOWN_NODE) return;
  process.getBuiltinModule("node:v8").setFlagsFromString("--semi-space-growth-factor=1");
}
