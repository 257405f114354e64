/**
 * Standard input and output as one side of a connection, for `spipe`.
 *
 * Both are shared with other processes, so their mode is not changed: pipes are opened again, and a thread of the addon
 * reads or writes everything else. Node's streams are not used: they make the descriptors non-blocking for every process
 * that shares them, end at once for kinds that they do not know, and never close standard output.
 *
 * Source: docs/lifecycle.md, "Standard streams".
 */

import { createWriteStream, fstatSync } from "node:fs";
import { Socket } from "node:net";
import type { Writable } from "node:stream";
import { SpipedError } from "../errors.js";
import type { ByteReader } from "../net/byte-reader.js";
import type { Channel } from "../net/channel.js";
import { FailureLatch } from "../net/failure-latch.js";
import type { ReadBuffer } from "../net/socket-reader.js";
import { checkDescriptor, INPUT, OUTPUT, STREAM_NAMES } from "../net/standard-descriptors.js";
import { StandardInput } from "../net/standard-input.js";
import { openOutput } from "../net/standard-output.js";
import { StreamReader } from "../net/stream-reader.js";
import { hasDescriptors } from "../platform.js";
import { systemReason } from "../system-reason.js";

/** See the head of this file. */
export class StdioChannel extends FailureLatch implements Channel {
  readonly reader: ByteReader;
  readonly writable: Writable;
  readonly peer = "standard input and output";
  readonly #input: { destroy(): unknown };

  /**
   * @param readBuffer - Memory to read into.
   * @throws SpipedError `SPIPED_USAGE` if standard input cannot be read, or standard output cannot be written.
   */
  constructor(readBuffer: ReadBuffer) {
    super();
    const inputFailed = (cause: Error) => this.#failed(STREAM_NAMES[INPUT], cause);
    if (hasDescriptors()) {
      checkDescriptor(INPUT);
      checkDescriptor(OUTPUT);
      const input = new StandardInput(readBuffer, inputFailed);
      this.#input = input;
      this.reader = input;
      this.writable = openOutput();
    } else {
      this.#input = process.stdin.on("error", inputFailed);
      this.reader = new StreamReader(process.stdin, 0);
      this.writable = openOutputOfNode();
    }
    this.writable.on("error", (cause) => this.#failed(STREAM_NAMES[OUTPUT], cause));
  }

  close(): void {
    this.settle();
    this.#input.destroy();
    this.writable.destroy();
  }

  reset(): void {
    this.close();
  }

  #failed(stream: string, cause: Error): void {
    this.fail(new SpipedError("SPIPED_RESET", `${stream}: ${systemReason(cause)}`, { cause }));
  }
}

/** On Windows the addon has no threads for standard streams. */
function openOutputOfNode(): Writable {
  const status = fstatSync(OUTPUT);
  if (status.isFIFO() || status.isSocket()) {
    return new Socket({ fd: OUTPUT, readable: false, writable: true, allowHalfOpen: true });
  }
  return process.stdout.isTTY ? process.stdout : createWriteStream("", { fd: OUTPUT });
}
