/** `connect`: a stream over an encrypted connection to a `spiped -d`, like that of `spipe`. */

import { SpipedError } from "../errors.js";
import { formatAddress } from "../net/address.js";
import { dial } from "../net/dial.js";
import { resolve, resolveBind } from "../net/resolver.js";
import { KeyRing } from "../protocol/key-ring.js";
import { Connection } from "../tunnel/connection.js";
import { descriptors } from "./descriptors.js";
import { type CommonOptions, connectOptions, keyInUse, readOptions } from "./options.js";
import { TunnelStream } from "./tunnel-stream.js";

/** Options of {@link connect}. */
export interface ConnectOptions extends CommonOptions {
  /** Where the `spiped -d` listens: `/path`, `[IP]:port` or `host:port`. */
  readonly target: string;
  /** Local address to connect from, with or without a port. */
  readonly bind?: string;
  /** True to allow writing after the other side has ended; false, as with `net.connect`, ends the stream then. */
  readonly allowHalfOpen?: boolean;
}

/**
 * Connects.
 *
 * Returns the stream at once, like `net.connect`: writes before `connect` are buffered. If lookup, connection and
 * handshake together take longer than `timeoutMs`, or the connection breaks, the stream is destroyed with a
 * `SpipedError`.
 *
 * @throws SpipedError `SPIPED_OPTION` for invalid options, `SPIPED_ADDRESS` for a malformed address.
 */
export function connect(options: ConnectOptions): TunnelStream {
  const read = readOptions("connect", connectOptions, options);
  const { key, target, bind, forwardSecrecy, timeoutMs, keepAlive, signal } = read;
  const stream = TunnelStream.of("this program", read.allowHalfOpen);
  const name = formatAddress(target);
  const deadline = performance.now() + timeoutMs;
  const leftMs = () => Math.max(1, Math.ceil(deadline - performance.now()));
  let handshakeTimer: NodeJS.Timeout | undefined;
  const handshakeTimedOut = () => {
    const seconds = timeoutMs / 1_000;
    stream.timeOut(new SpipedError("SPIPED_TIMEOUT", `the handshake with ${name} was not over within ${seconds} s`));
  };
  stream.destroyOn(signal);
  new Connection({
    role: "encrypt",
    source: stream.channel,
    target: {
      open: async (request) => {
        // The signal was aborted already.
        if (stream.destroyed) throw new SpipedError("SPIPED_CANCELLED", "cancelled before it began");
        const limits = { signal: request.signal, timeoutMs: leftMs() };
        const [addresses, local] = await Promise.all([resolve(target, limits), resolveBind(bind, limits)]);
        const dialing = { addresses, name, bind: local, timeoutMs: leftMs(), keepAlive, descriptors: descriptors() };
        const channel = await dial({ ...dialing, ...request });
        stream.setCarrier(channel);
        handshakeTimer = setTimeout(handshakeTimedOut, leftMs());
        return channel;
      },
      opened: () => {
        clearTimeout(handshakeTimer);
        stream.opened();
      },
    },
    keys: () => KeyRing.of(keyInUse(key)).offer,
    forwardSecrecy,
    timeoutMs,
    endWithTarget: false,
    ended: (report) => {
      clearTimeout(handshakeTimer);
      stream.ended(report);
    },
  });
  return stream;
}
