/**
 * Writes the log to the local syslog daemon's socket, by datagram or stream, whichever it accepts. If the daemon is absent or
 * too slow, messages are dropped; when it comes back, it is used again.
 *
 * Source: RFC 3164 as local daemons accept it, `<priority>timestamp program[pid]: text`.
 */

import { codeOf } from "../errors.js";
import { addon } from "../native/native.js";
import type { Level } from "./entry.js";
import { jsonOf, textLines } from "./format.js";
import type { LogSink } from "./log.js";
import { logSettings } from "./log-settings.js";

/** Where the daemon listens: Linux and most others, macOS, FreeBSD. */
const SOCKETS = ["/dev/log", "/var/run/syslog", "/var/run/log"];

/** Errors of a socket that is there, but is full or rejects a message this long. */
const NOT_TAKEN = ["EAGAIN", "ENOBUFS", "EMSGSIZE"];

const FACILITY_DAEMON = 3 << 3;
/** As in syslog(3); `info` is a notice (5) there. */
const SEVERITIES: Readonly<Record<Level, number>> = { error: 3, warning: 4, info: 5, debug: 7 };
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/**
 * A sink for the local syslog.
 *
 * @param program - The name in each message.
 * @param now - Returns the current time.
 */
export function syslogSink(program: string, now: () => Date = () => new Date()): LogSink {
  const socket = new addon.SyslogSocket();
  return {
    write(entry) {
      const priority = FACILITY_DAEMON | SEVERITIES[entry.level];
      const time = now();
      const isJson = logSettings().format === "json";
      for (const line of isJson ? [jsonOf(entry, { toJournal: false, time }).trimEnd()] : textLines(entry)) {
        const text = Buffer.from(`<${priority}>${timestamp(time)} ${program}[${process.pid}]: ${line}`);
        SOCKETS.some((path) => isThere(() => socket.send(path, text)));
      }
    },
  };
}

/** Sends, and returns whether a daemon is there, even if it did not accept this message. */
function isThere(send: () => void): boolean {
  try {
    send();
    return true;
  } catch (error) {
    return NOT_TAKEN.includes(codeOf(error) ?? "");
  }
}

function timestamp(time: Date): string {
  const two = (number: number) => String(number).padStart(2, "0");
  const clock = `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
  return `${MONTHS[time.getMonth()]} ${String(time.getDate()).padStart(2, " ")} ${clock}`;
}
