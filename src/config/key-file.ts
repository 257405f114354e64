/**
 * Reads key files. The addon opens and reads them on threads of their own and keeps the key; what is taken for one, and
 * how long that may last, is decided here.
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

/** The most bytes that are taken for a key. */
const MAX_KEY_BYTES = 64 * 1_024 * 1_024;

/** How long a file, or a folder of them, may take at the start. */
export const START_LIMIT_MS = 30_000;

/** How long a file, or a folder of them, may take while connections are open. */
export const RELOAD_LIMIT_MS = 10_000;

/** A file that is being written is looked at so often, with so much time in between. */
const ATTEMPTS = 5;
const AGAIN_MS = 100;

/** Somebody may have to type or to unlock what these give, and has all the time that takes. */
const OWN_DESCRIPTOR = /^(-|\/dev\/(stdin|fd\/\d+)|\/proc\/(self|thread-self)\/fd\/\d+)$/;

const ANY_FILE: KeyFileRequest = { limitBytes: MAX_KEY_BYTES, regularOnly: false, exceptStandardInput: false };

/** A key that was read, and what its owner should know about the file. */
export interface ReadKey {
  readonly key: SharedKey;
  /** One line each, for people: others can read or change the file, or guess what is in it. */
  readonly warnings: readonly string[];
}

/** How a key file is read where that is not the usual way. */
export interface ReadOptions {
  /** What {@link openKeyFile} gave, in this process or in another. It stays the caller's. */
  readonly descriptor?: number | undefined;
  /** Refuses what would take bytes off standard input. */
  readonly exceptStandardInput?: boolean;
  /** How long it may take; as long as at the start where it is left out. */
  readonly limitMs?: number;
  /** What people can do where a pipe or a descriptor gives no key. */
  readonly instead?: string;
}

/**
 * Reads a key file whole, of whatever kind: a pipe, too. Signals and everything else go on meanwhile.
 *
 * Differs from spiped: an empty file, and one of more than 64 MiB, is no key.
 *
 * @param path - The file; `-` for standard input to its end.
 * @throws SpipedError `SPIPED_KEY_FILE` where it cannot be read, is no key, or takes longer than 30 s.
 */
export async function readKeyFile(path: string, options: ReadOptions = {}): Promise<ReadKey> {
  return keyOf(path, await readWhole(path, options), options.instead);
}

/** What has come of reading at the start; {@link keyOf} makes a key of it. */
export async function readWhole(path: string, options: ReadOptions = {}): Promise<KeyFile> {
  const { exceptStandardInput = false } = options;
  const descriptor = path === "-" ? STANDARD_INPUT : options.descriptor;
  const request = { ...ANY_FILE, exceptStandardInput, ...(descriptor === undefined ? {} : { descriptor }) };
  for (let attempt = 1; ; attempt += 1) {
    const file = await onOwnThread(
      path,
      options.limitMs ?? startLimitMs(path),
      (done) => addon.readKeyFile(pathBytes(path), request, done),
      options.instead,
    );
    if (file.state === "refused") throw standardInput(path);
    if (!file.hasChanged || attempt === ATTEMPTS) return file;
    await again(file);
  }
}

/**
 * Opens a key file, for another process to read.
 *
 * @returns The descriptor; it is the caller's.
 * @throws SpipedError `SPIPED_KEY_FILE` where it cannot be opened, or that takes longer than 30 s.
 */
export async function openKeyFile(path: string, { instead }: Pick<ReadOptions, "instead"> = {}): Promise<number> {
  const open = (done: (file: KeyFile) => void) => addon.openKeyFile(pathBytes(path), done);
  const file = await onOwnThread(path, startLimitMs(path), open, instead);
  const descriptor = file.state === "failed" ? null : file.takeDescriptor();
  if (descriptor === null) throw failed(path, file, instead);
  return descriptor;
}

/** Reads one file at a path, as often as it is asked to. Only a file will do. */
export class FileReading {
  readonly #path: string;
  #isReading = false;

  constructor(path: string) {
    this.#path = path;
  }

  /**
   * Reads the file as it is now. To be called when the call before has settled.
   *
   * @throws SpipedError `SPIPED_KEY_FILE` where that takes longer than `limitMs`, or the thread of an earlier call hangs.
   */
  async read(limitMs: number): Promise<KeyFile> {
    for (let attempt = 1; ; attempt += 1) {
      // A thread that hangs is enough.
      if (this.#isReading) throw stillReading(this.#path);
      const file = await onOwnThread(this.#path, limitMs, (done) => this.#start(done));
      // The shell empties a file before it writes to it.
      const isBeingWritten = file.hasChanged || (file.state === "read" && file.lengthBytes === 0);
      if (!isBeingWritten || attempt === ATTEMPTS) return file;
      await again(file);
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

/** Reads a key file again while a program runs, whatever the first key came from. */
export class KeyFileReader {
  readonly #path: string;
  readonly #reading: FileReading;

  constructor(path: string) {
    this.#path = path;
    this.#reading = new FileReading(path);
  }

  /**
   * Reads the file as it is now. To be called when the call before has settled.
   *
   * @throws SpipedError `SPIPED_KEY_FILE` where it cannot be read again, is no key, or takes longer than 10 s.
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

/** Waits for a thread of the addon's, and keeps the program alive meanwhile. What comes too late is thrown away. */
function onOwnThread(
  path: string,
  limitMs: number | undefined,
  start: (done: (file: KeyFile) => void) => void,
  instead?: string,
): Promise<KeyFile> {
  return new Promise((resolve, reject) => {
    let isLate = false;
    const giveUp = () => {
      isLate = true;
      reject(tooSlow(path, limitMs ?? 0, instead));
    };
    const timer = limitMs === undefined ? setInterval(() => undefined, START_LIMIT_MS) : setTimeout(giveUp, limitMs);
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

async function again(file: KeyFile): Promise<void> {
  file.takeKey()?.destroy();
  await new Promise((wake) => setTimeout(wake, AGAIN_MS));
}

/**
 * The key of a file that was read as it was asked for.
 *
 * @throws SpipedError `SPIPED_KEY_FILE` where there is none.
 */
export function keyOf(path: string, file: KeyFile, instead?: string): ReadKey {
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
  return { key, warnings: warningsOf(path, file) };
}
