// What the library's types forbid. The compiler checks this: a line marked @ts-expect-error that compiles fails the
// build.

import { test } from "node:test";
import * as library from "#dist/index.js";
import { throwsSpipedError } from "../support/errors.js";

const { Key, SpipedServer, SpipedTunnel, TunnelStream, connect, createServer, createTunnel, generateKey } = library;

/** Only compiled. */
export function misuses(key: library.Key, server: library.SpipedServer, stream: library.TunnelStream): void {
  // @ts-expect-error: readKeyFile and createKey make keys
  new Key();
  // @ts-expect-error: connect and createServer make streams
  new TunnelStream();
  // @ts-expect-error: createServer makes servers
  new SpipedServer({ key });
  // @ts-expect-error: createTunnel makes tunnels
  new SpipedTunnel();
  // @ts-expect-error: the bytes of a key file are not a key
  connect({ target: "[192.0.2.1]:1", key: generateKey() });
  // @ts-expect-error: a look-alike is not a key
  connect({ target: "[192.0.2.1]:1", key: { destroyed: false, destroy: () => undefined } });
  // @ts-expect-error: no key
  connect({ target: "[192.0.2.1]:1" });
  // @ts-expect-error: no target
  connect({ key });
  // @ts-expect-error: an option of createTunnel
  connect({ target: "[192.0.2.1]:1", key, role: "encrypt" });
  // @ts-expect-error: a misspelled option
  createServer({ key, maxConnection: 1 });
  // @ts-expect-error: not one of the three
  createServer({ key, forwardSecrecy: "on" });
  // @ts-expect-error: not one of the two
  void createTunnel({ key, role: "client", source: "/a", target: "/b" });
  // @ts-expect-error: a promise is not a key
  server.useKey(library.readKeyFile("key"));
  // @ts-expect-error: read only
  key.destroyed = true;
  // @ts-expect-error: internal
  Key.of(key);
  // @ts-expect-error: internal
  key.shared;
  // @ts-expect-error: internal
  stream.channel;
}

/** Only compiled: usage that must keep compiling. */
export function uses(key: library.Key, signal: AbortSignal): void {
  connect({ target: "[192.0.2.1]:1", key, signal, forwardSecrecy: "require", timeoutMs: 1_000 }).end("bye");
  createServer({ key }, (stream) => stream.pipe(stream)).on("problem", ({ code }) => code satisfies library.ErrorCode);
  void createTunnel({ key, role: "encrypt", source: "/a", target: "/b" }).then((tunnel) => tunnel.close());
}

test("a class without public constructor says so to JavaScript programs", () => {
  throwsSpipedError(
    () => Reflect.construct(Key, []),
    "SPIPED_OPTION",
    /^Key has no public constructor; readKeyFile or/,
  );
  throwsSpipedError(() => Reflect.construct(TunnelStream, []), "SPIPED_OPTION", /^TunnelStream has no public/);
});
