// Host names that a test can point to addresses and change later, for commands started with `env`.

import { spawnSync } from "node:child_process";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import type { LoopbackHost } from "./addresses.js";
import { temporaryFolder } from "./cleanup.js";
import { temporaryRoot } from "./environment.js";
import { declareIf } from "./programs.js";

/** Replaces the system's lookups: names are looked up in a file, read each time. */
const wrapper = "libnss_wrapper.so";

/** The names known to one test's commands. */
export class Names {
  /** Environment variables for the commands. */
  readonly env: Readonly<Record<string, string>>;
  readonly #file: string;
  readonly #hosts = new Map<string, readonly LoopbackHost[]>();

  private constructor(file: string) {
    this.#file = file;
    this.env = { LD_PRELOAD: wrapper, NSS_WRAPPER_HOSTS: file };
    this.#write();
  }

  /** Starts without names. */
  static async create(t: TestContext): Promise<Names> {
    return new Names(join(await temporaryFolder(t), "hosts"));
  }

  /** Sets a name's addresses, in this order; none removes it. */
  set(name: string, ...hosts: readonly LoopbackHost[]): void {
    this.#hosts.set(name, hosts);
    this.#write();
  }

  /** Replaced atomically, so that no lookup sees half of it. */
  #write(): void {
    const lines = [...this.#hosts].flatMap(([name, hosts]) => hosts.map((host) => `${host} ${name}\n`));
    writeFileSync(`${this.#file}.new`, lines.join(""));
    renameSync(`${this.#file}.new`, this.#file);
  }
}

/** Declares tests that need {@link Names}. The Node that runs them must use glibc: musl does not load the library. */
export function withNames(declare: () => void): void {
  const lookup = `require("dns").lookup("known.test", { all: true }, (_, found) => console.log(JSON.stringify(found)))`;
  const folder = mkdtempSync(join(temporaryRoot, "spiped-"));
  const file = join(folder, "hosts");
  writeFileSync(file, "127.0.0.5 known.test\n");
  const env = { ...process.env, LD_PRELOAD: wrapper, NSS_WRAPPER_HOSTS: file };
  const { stdout } = spawnSync(process.execPath, ["-e", lookup], { env, encoding: "utf8" });
  rmSync(folder, { recursive: true });
  declareIf(stdout.includes("127.0.0.5") ? true : undefined, `${wrapper} (package libnss-wrapper)`, declare);
}
