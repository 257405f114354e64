// Key files and name servers that are as slow as a test wants: each read and each lookup is pending until the test
// completes it.

import type { TestContext } from "node:test";
import { addon, type KeyFile, type KeyFileRequest, type LookupResult, type SharedKey } from "#dist/native/native.js";
import { sharedKeyOf } from "#dist/protocol/secret.js";

/** Something slow that the test completes. */
export interface Slow {
  readonly complete: () => void;
}

/** Keys and lookups whose completion the test decides. */
export class SlowSystem {
  readonly keys: Slow[] = [];
  readonly lookups: Slow[] = [];
  /** The version of each key file; a bad one has no version. */
  readonly #versions = new Map<string, { readonly version: number; readonly isGood: boolean }>();
  /** All keys that were read and not destroyed. */
  readonly open = new Set<SharedKey>();
  /** Called when a read of a tunnel that starts fails. */
  startFailed: () => void = () => undefined;
  /** Whether the test completes everything; otherwise it completes at once. */
  isSlow = false;

  constructor(t: TestContext) {
    t.mock.method(addon, "readKeyFile", (path: Uint8Array, request: KeyFileRequest, done: (file: KeyFile) => void) =>
      this.#read(Buffer.from(path).toString(), request, done),
    );
    t.mock.method(addon, "resolve", (_host: string, _service: string, done: (found: LookupResult) => void) => {
      const complete = () => done({ addresses: [{ family: 4, address: "127.0.0.1", port: 1 }] });
      if (this.isSlow) this.lookups.push({ complete });
      else complete();
    });
  }

  /** Forgets everything. @returns How many keys were left. */
  reset(): number {
    const left = this.open.size;
    for (const all of [this.keys, this.lookups]) while (all.length > 0) completeOne(all, 0);
    this.open.clear();
    this.#versions.clear();
    this.isSlow = false;
    return left;
  }

  /** The file as it is now. */
  version(path: string): { readonly version: number; readonly isGood: boolean } {
    return this.#versions.get(path) ?? { version: 0, isGood: true };
  }

  /** Writes a new version. */
  write(path: string, isGood: boolean): void {
    this.#versions.set(path, { version: this.version(path).version + 1, isGood });
  }

  /** The result is what the file holds when the read begins. */
  #read(path: string, { regularOnly }: KeyFileRequest, done: (file: KeyFile) => void): void {
    const { version, isGood } = this.version(path);
    const complete = () => {
      // Reloads read regular files only.
      if (!isGood && !regularOnly) this.startFailed();
      const key = isGood ? this.#key(path, version) : null;
      const state = isGood ? "read" : "too-long";
      const file = { state, hasChanged: false, lengthBytes: 40, kind: "file", mode: 0o600, takeKey: () => key };
      done(file as unknown as KeyFile);
    };
    if (this.isSlow) this.keys.push({ complete });
    else complete();
  }

  #key(path: string, version: number): SharedKey {
    const key = keyOf(path, version);
    const destroy = key.destroy.bind(key);
    key.destroy = () => {
      this.open.delete(key);
      destroy();
    };
    this.open.add(key);
    return key;
  }
}

/** The key that a version of a key file holds. */
export function keyOf(path: string, version: number): SharedKey {
  return sharedKeyOf(Buffer.from(`${path}, version ${version}`));
}

/** Completes one of them, if there is any. */
export function completeOne(all: Slow[], at: number): void {
  const [one] = all.splice(at % Math.max(1, all.length), 1);
  one?.complete();
}
