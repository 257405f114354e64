/**
 * Reads key files. The addon opens and reads them on threads of its own and keeps the key. This module decides which files
 * are valid keys, and how long reading may take.
 *
 * Source: docs/lifecycle.md, "Reading a key file".
 */

import { SpipedError } from "../errors.js";
import { addon, type KeyFile, type KeyFileRequest } from "../native/native.js";
import { pathBytes } from "../paths.js";
import type { SharedKey } from "../protocol/secret.js";
import {
  changing,
  empty,
  failed,
  type KeyReader,
  noThread,
  notReadAgain,
  standardInput,
  stillReading,
  tooLong,
  tooSlow,
  warningsOf,
} from "./key-file-messages.js";

/** The descriptor that `-` stands for. */
const STANDARD_INPUT = 0;

/** The maximum length of a key file. */
const MAX_KEY_BYTES = 64 * 1_024 * 1_024;

/** How long reading a key file or a key folder may take at startup. */
export const START_LIMIT_MS = 30_000;

/** How long reading a key file or a key folder may take during a reload. */
export const RELOAD_LIMIT_MS = 10_000;

/** How often, and at what interval, to try a file that is being written. */
const ATTEMPTS = 5;
const RETRY_MS = 100;

/** No time limit applies to these at startup: somebody may have to type the key, or unlock it. */
const OWN_DESCRIPTOR = /^(-|\/dev\/(stdin|fd\/\d+)|\/proc\/(self|thread-self)\/fd\/\d+)$/;

const ANY_FILE: KeyFileRequest = { limitBytes: MAX_KEY_BYTES, regularOnly: false, exceptStandardInput: false };

/** A key, and warnings about its file. */
export interface ReadKey {
  readonly key: SharedKey;
  /** One line each: others can read or change the file, or guess its contents. */
  readonly warnings: readonly string[];
}

/** Options for reading a key file. */
export interface ReadOptions {
  /** From {@link openKeyFile}, in this process or in another. The caller keeps it and closes it. */
  readonly descriptor?: number | undefined;
  /** Refuses paths that lead to standard input. */
  readonly exceptStandardInput?: boolean;
  /** The time limit; by default that of the start. */
  readonly limitMs?: number;
  /** The hint if a pipe or a descriptor cannot be read. */
  readonly instead?: string;
  /** The user that reads it on a reload; by default that of this process. */
  readonly reader?: KeyReader | undefined;
}

/**
 * Reads a whole key file of any kind, including a pipe, without blocking the event loop.
 *
 * Differs from spiped: refuses an empty file, and one of more than 64 MiB.
 *
 * @param path - The file; `-` reads standard input to its end.
 * @throws SpipedError `SPIPED_KEY_FILE` if it cannot be read, is not a key, or takes longer than 30 s.
 */
export async function readKeyFile(path: string, options: ReadOptions = {}): Promise<ReadKey> {
  return keyOf(path, await readWhole(path, options), options);
}

/** Reads a whole file at startup. Pass the result to {@link keyOf} to get the key, or the error. */
export async function readWhole(path: string, options: ReadOptions = {}): Promise<KeyFile> {
  const { exceptStandardInput = false } = options;
  const descriptor = path === "-" ? STANDARD_INPUT : options.descriptor;
  const request = { ...ANY_FILE, exceptStandardInput, ...(descriptor === undefined ? {} : { descriptor }) };
  for (let attempt = 1; ; attempt += 1) {
    const file = await onThread(
      path,
      options.limitMs ?? startLimitMs(path),
      (done) => addon.readKeyFile(pathBytes(path), request, done),
      options.instead,
    );
    if (file.state === "refused") throw standardInput(path);
    if (!file.hasChanged || attempt === ATTEMPTS) return file;
    await discardAndWait(file);
  }
}

/**
 * Opens a key file, for another process to read.
 *
 * @returns The descriptor; the caller must close it.
 * @throws SpipedError `SPIPED_KEY_FILE` if it cannot be opened, or that takes longer than 30 s.
 */
export async function openKeyFile(path: string, { instead }: Pick<ReadOptions, "instead"> = {}): Promise<number> {
  const open = (done: (file: KeyFile) => void) => addon.openKeyFile(pathBytes(path), done);
  const file = await onThread(path, startLimitMs(path), open, instead);
  const descriptor = file.state === "failed" ? null : file.takeDescriptor();
  if (descriptor === null) throw failed(path, file, instead);
  return descriptor;
}

/** Reads the file at a path, any number of times. Accepts regular files only. */
export class FileReading {
  readonly #path: string;
  #isReading = false;

  constructor(path: string) {
    this.#path = path;
  }

  /**
   * Reads the file as it is now. Do not call it again before the promise has settled.
   *
   * @throws SpipedError `SPIPED_KEY_FILE` if that takes longer than `limitMs`, or the thread of an earlier call still hangs.
   */
  async read(limitMs: number): Promise<KeyFile> {
    for (let attempt = 1; ; attempt += 1) {
      // Do not start a second thread while one hangs.
      if (this.#isReading) throw stillReading(this.#path);
      const file = await onThread(this.#path, limitMs, (done) => this.#start(done));
      // A shell truncates a file before it writes to it.
      const isBeingWritten = file.hasChanged || (file.state === "read" && file.lengthBytes === 0);
      if (!isBeingWritten || attempt === ATTEMPTS) return file;
      await discardAndWait(file);
    }
  }

  #start(done: (file: KeyFile) => void): void {
    addon.readKeyFile(pathBytes(this.#path), { ...ANY_FILE, regularOnly: true }, (file) => {
      this.#isReading = false;
      done(file);
    });
    this.#isReading = true;
  }
}

/** Reloads a key file. */
export class KeyFileReader {
  readonly #path: string;
  readonly #reading: FileReading;

  constructor(path: string) {
    this.#path = path;
    this.#reading = new FileReading(path);
  }

  /**
   * Reads the file as it is now. Do not call it again before the promise has settled.
   *
   * @throws SpipedError `SPIPED_KEY_FILE` if it cannot be read again, is not a key, or takes longer than 10 s.
   */
  async read(): Promise<ReadKey> {
    const path = this.#path;
    if (path === "-") throw notReadAgain(path, undefined);
    const file = await this.#reading.read(RELOAD_LIMIT_MS);
    if (file.state === "refused") throw notReadAgain(path, file);
    return keyOf(path, file);
  }
}

function startLimitMs(path: string): number | undefined {
  return OWN_DESCRIPTOR.test(path) ? undefined : START_LIMIT_MS;
}

/** Waits for a thread of the addon, and keeps the process alive until then. A result after the time limit is discarded. */
function onThread(
  path: string,
  limitMs: number | undefined,
  start: (done: (file: KeyFile) => void) => void,
  instead?: string,
): Promise<KeyFile> {
  return new Promise((resolve, reject) => {
    let isLate = false;
    const onTimeout = () => {
      isLate = true;
      reject(tooSlow(path, limitMs ?? 0, instead));
    };
    const timer = limitMs === undefined ? setInterval(() => undefined, START_LIMIT_MS) : setTimeout(onTimeout, limitMs);
    try {
      start((file) => {
        clearTimeout(timer);
        if (isLate) file.takeKey()?.destroy();
        else resolve(file);
      });
    } catch (cause) {
      clearTimeout(timer);
      reject(noThread(path, cause));
    }
  });
}

async function discardAndWait(file: KeyFile): Promise<void> {
  file.takeKey()?.destroy();
  await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
}

/**
 * Takes the key from the result of reading a file.
 *
 * @throws SpipedError `SPIPED_KEY_FILE` if the file is not a key.
 */
export function keyOf(
  path: string,
  file: KeyFile,
  { instead, reader }: Pick<ReadOptions, "instead" | "reader"> = {},
): ReadKey {
  switch (file.state) {
    case "failed":
      throw failed(path, file, instead);
    case "too-long":
      throw tooLong(path, MAX_KEY_BYTES);
    case "refused":
    case "opened":
      throw new SpipedError("SPIPED_STEP", `a key file that was ${file.state} gives no key`);
    case "read":
      break;
  }
  const key = file.takeKey();
  if (key === null) throw empty(path);
  if (file.hasChanged) {
    key.destroy();
    throw changing(path);
  }
  return { key, warnings: warningsOf(path, file, reader) };
}
