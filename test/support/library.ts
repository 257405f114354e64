// The library's servers and clients for tests, and lookups that never finish.

import { once } from "node:events";
import type { TestContext } from "node:test";
import { connect, createKey, createServer, generateKey, type SpipedServer, type TunnelStream } from "#dist/index.js";
import { addon, type LookupResult } from "#dist/native/native.js";
import { afterwards } from "./cleanup.js";

export const key = createKey(generateKey());
export const free = "[127.0.0.1]:0";
/** A name whose lookup takes as long as the test wants. */
export const slow = "slow.example:80";

export interface Options {
  readonly signal?: AbortSignal;
}

export function newServer(t: TestContext, options: Options = {}): { server: SpipedServer; events: string[] } {
  const server = createServer({ key, timeoutMs: 60_000, ...options });
  const events: string[] = [];
  for (const name of ["listening", "close"] as const) server.on(name, () => events.push(name));
  afterwards(t, () => server.destroy());
  return { server, events };
}

/** A client of a server; its errors are ignored. */
export async function newClient(t: TestContext, server: SpipedServer): Promise<TunnelStream> {
  const stream = connect({ target: server.address ?? "", key, timeoutMs: 60_000, allowHalfOpen: true });
  stream.on("error", () => undefined);
  afterwards(t, () => stream.destroy());
  await once(stream, "connect");
  return stream;
}

/** Makes all lookups hang until the test ends. */
export function hangLookups(t: TestContext): void {
  const hung: Array<(found: LookupResult) => void> = [];
  t.mock.method(addon, "resolve", (_host: string, _service: string, done: (found: LookupResult) => void) => {
    hung.push(done);
  });
  afterwards(t, () => {
    for (const done of hung) done({ addresses: [], failure: "the test is over" });
  });
}

/** Reads a stream to its end, without its iterators, which would destroy it. */
export async function readAll(stream: TunnelStream): Promise<string> {
  let all = "";
  stream.on("data", (piece) => {
    all += piece;
  });
  await once(stream, "end");
  return all;
}
