/**
 * `connect`: a stream over an encrypted connection to a `spiped -d`, as `spipe` has it.
 */

import { formatAddress, parseAddress, parseBindAddress } from "../net/address.js";
import { dial } from "../net/dial.js";
import { resolve, resolveBind } from "../net/resolver.js";
import { Connection } from "../tunnel/connection.js";
import { type CommonOptions, descriptors, withDefaults } from "./options.js";
import { TunnelStream } from "./tunnel-stream.js";

/** What {@link connect} takes. */
export interface ConnectOptions extends CommonOptions {
  /** Where the `spiped -d` listens: `/path`, `[IP]:port` or `host:port`. */
  readonly target: string;
  /** Local address to connect from, with or without a port. */
  readonly bind?: string;
  /** True to go on writing when the other side has ended; false, as with `net.connect`, ends the stream then. */
  readonly allowHalfOpen?: boolean;
}

/**
 * Connects.
 *
 * The stream is there at once, like that of `net.connect`: what is written before `connect` waits. Where the connection
 * does not come about, or breaks, the stream is destroyed with a `SpipedError`.
 *
 * @throws SpipedError `SPIPED_ADDRESS` where an address is malformed.
 */
export function connect(options: ConnectOptions): TunnelStream {
  const target = parseAddress(options.target);
  const local = options.bind === undefined ? undefined : parseBindAddress(options.bind);
  const { timeoutMs, keepAlive, forwardSecrecy } = withDefaults(options);
  const stream = new TunnelStream("this program", options.allowHalfOpen ?? false);
  stream.destroyOn(options.signal);
  const start = async () => {
    const [addresses, bind] = await Promise.all([resolve(target), resolveBind(local)]);
    if (stream.destroyed) return;
    const name = formatAddress(target);
    const dialling = { addresses, name, bind, timeoutMs, keepAlive, descriptors: descriptors() };
    new Connection({
      role: "encrypt",
      source: stream.channel,
      target: {
        open: async (request) => {
          const channel = await dial({ ...dialling, ...request });
          stream.carriedBy(channel);
          return channel;
        },
        opened: () => stream.opened(),
      },
      key: () => options.key.shared,
      forwardSecrecy,
      timeoutMs,
      endWithTarget: false,
      ended: (report) => stream.ended(report),
    });
  };
  start().catch((error: Error) => stream.destroy(error));
  return stream;
}
