// Addresses that the tests listen on and hand to the commands, in the form of -s and -t.

import { createServer } from "node:net";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { temporaryFolder } from "./cleanup.js";

/** A host of this machine that needs no lookup. */
export type LoopbackHost = `127.0.0.${number}` | "::1";

export type Address =
  | { readonly kind: "tcp"; readonly host: LoopbackHost; readonly port: number }
  | { readonly kind: "unix"; readonly path: string };

export type AddressKind = "tcp" | "tcp6" | "unix";

/** An address as the commands take it. */
export function textOf(address: Address): string {
  return address.kind === "unix" ? address.path : `[${address.host}]:${address.port}`;
}

/** An address as `node:net` takes it. */
export function socketOptionsOf(address: Address): { path: string } | { host: string; port: number } {
  return address.kind === "unix" ? { path: address.path } : { host: address.host, port: address.port };
}

/** A free address. Another process may take the port first; `startSpiped` then tries another one. */
export async function freeAddress(t: TestContext, kind: AddressKind): Promise<Address> {
  if (kind === "unix") return { kind: "unix", path: join(await temporaryFolder(t), "socket") };
  const host = kind === "tcp" ? "127.0.0.1" : "::1";
  return { kind: "tcp", host, port: await freePort(host) };
}

// Below the ephemeral ports: otherwise a connection of another test could be using it by chance.
const firstPort = 10_000;
const lastPort = 32_000;

/** A port that could be bound a moment ago. */
export async function freePort(host: string): Promise<number> {
  for (;;) {
    const port = firstPort + Math.floor(Math.random() * (lastPort - firstPort));
    if (await canBind(host, port)) return port;
  }
}

function canBind(host: string, port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE" || error.code === "EACCES") resolve(false);
      else reject(error);
    });
    server.listen({ host, port }, () => server.close(() => resolve(true)));
  });
}
