// Which timer Linux runs for a connection of the loopback, as /proc shows it.

import { rowsOf } from "./listening.js";

export const noTimer = "00";
const retransmitTimer = "01";
export const keepAliveTimer = "02";

/** Which timer the system runs for a connection of the loopback, once there is nothing to send again. */
export async function timerOf(
  localPort: number | undefined,
  remotePort: number | undefined,
): Promise<string | undefined> {
  const hex = (port = 0): string => port.toString(16).toUpperCase().padStart(4, "0");
  for (;;) {
    // sl local_address rem_address st tx_queue:rx_queue tr:tm->when …
    const row = rowsOf("/proc/net/tcp").find(
      (fields) =>
        fields[1]?.endsWith(`:${hex(localPort)}`) === true && fields[2]?.endsWith(`:${hex(remotePort)}`) === true,
    );
    const timer = row?.[5]?.slice(0, 2);
    if (timer !== retransmitTimer) return timer;
    await new Promise((resolve) => setImmediate(resolve));
  }
}
