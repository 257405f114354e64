/**
 * Log lines to the local syslog: one message each to the socket on which the system's logger listens, as a datagram or
 * in a stream, whichever it takes. Nobody there, or a logger that does not keep up, loses the line and nothing else; a
 * logger that comes back is found again.
 *
 * Source: RFC 3164 as local loggers take it, `<priority>timestamp program[pid]: text`.
 */

import { codeOf } from "../errors.js";
import { addon } from "../native/native.js";
import type { Level } from "./entry.js";
import { jsonOf, textLines } from "./format.js";
import type { LogSink } from "./log.js";
import { logChoices } from "./log-choices.js";

/** Where loggers listen: Linux and most others, macOS, FreeBSD. */
const SOCKETS = ["/dev/log", "/var/run/syslog", "/var/run/log"];

/** What a logger's socket answers when it has no room, or none for so long a line. */
const NOT_TAKEN = ["EAGAIN", "ENOBUFS", "EMSGSIZE"];

const FACILITY_DAEMON = 3 << 3;
/** As syslog(3) has them; what an operator is told at the start and the end is a notice there. */
const SEVERITIES: Readonly<Record<Level, number>> = { error: 3, warning: 4, info: 5, debug: 7 };
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/**
 * A sink for the local syslog.
 *
 * @param program - The name in each line.
 * @param now - The time.
 */
export function syslogSink(program: string, now: () => Date = () => new Date()): LogSink {
  const socket = new addon.SyslogSocket();
  return {
    write(entry) {
      const priority = FACILITY_DAEMON | SEVERITIES[entry.level];
      const time = now();
      const isJson = logChoices().format === "json";
      for (const line of isJson ? [jsonOf(entry, { toJournal: false, time }).trimEnd()] : textLines(entry)) {
        const text = Buffer.from(`<${priority}>${timestamp(time)} ${program}[${process.pid}]: ${line}`);
        SOCKETS.some((path) => isThere(() => socket.send(path, text)));
      }
    },
  };
}

/** Whether a logger is there, if only one that does not take this line. */
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
