/**
 * Log lines to the local syslog: one datagram each to the socket on which the system's logger listens. Nobody there,
 * or a logger that does not keep up, loses the line and nothing else; a logger that comes back is found again.
 *
 * Source: RFC 3164 as local loggers take it, `<priority>timestamp program[pid]: text`.
 */

import { addon } from "../native/native.js";
import type { LogSink, Severity } from "./log.js";

/** Where loggers listen: Linux and most others, macOS, FreeBSD. */
const SOCKETS = ["/dev/log", "/var/run/syslog", "/var/run/log"];

const FACILITY_DAEMON = 3 << 3;
const SEVERITIES: Readonly<Record<Severity, number>> = { error: 3, warning: 4, notice: 5 };
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/**
 * A sink for the local syslog.
 *
 * @param program - The name in each line.
 * @param now - The time.
 */
export function syslogSink(program: string, now: () => Date = () => new Date()): LogSink {
  const socket = new addon.DatagramSocket();
  return {
    write(severity, line) {
      const priority = FACILITY_DAEMON | SEVERITIES[severity];
      const text = Buffer.from(`<${priority}>${timestamp(now())} ${program}[${process.pid}]: ${line}`);
      SOCKETS.some((path) => sent(() => socket.send(path, text)));
    },
  };
}

function sent(send: () => void): boolean {
  try {
    send();
    return true;
  } catch {
    return false;
  }
}

function timestamp(time: Date): string {
  const two = (number: number) => String(number).padStart(2, "0");
  const clock = `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
  return `${MONTHS[time.getMonth()]} ${String(time.getDate()).padStart(2, " ")} ${clock}`;
}
