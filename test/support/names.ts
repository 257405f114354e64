// Names that a test gives addresses to, and other addresses later, for the commands that are started with `env`.

import { spawnSync } from "node:child_process";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import type { LoopbackHost } from "./addresses.js";
import { temporaryFolder } from "./cleanup.js";
import { temporaryRoot } from "./machine.js";
import { declareIf } from "./programs.js";

/** Takes the place of the system's look-ups: names are looked up in a file, each time anew. */
const wrapper = "libnss_wrapper.so";

/** The names that one test's commands know. */
export class Names {
  /** Variables for the commands. */
  readonly env: Readonly<Record<string, string>>;
  readonly #file: string;
  readonly #hosts = new Map<string, readonly LoopbackHost[]>();

  private constructor(file: string) {
    this.#file = file;
    this.env = { LD_PRELOAD: wrapper, NSS_WRAPPER_HOSTS: file };
    this.#write();
  }

  /** Knows no name yet. */
  static async create(t: TestContext): Promise<Names> {
    return new Names(join(await temporaryFolder(t), "hosts"));
  }

  /** Gives a name addresses, in this order; none: the name is no longer known. */
  set(name: string, ...hosts: readonly LoopbackHost[]): void {
    this.#hosts.set(name, hosts);
    this.#write();
  }

  /** All at once, so that no look-up sees half of it. */
  #write(): void {
    const lines = [...this.#hosts].flatMap(([name, hosts]) => hosts.map((host) => `${host} ${name}\n`));
    writeFileSync(`${this.#file}.new`, lines.join(""));
    renameSync(`${this.#file}.new`, this.#file);
  }
}

/** Declares tests that need {@link Names}, which the Node that runs them has to heed: musl loads no glibc library. */
export function withNames(declare: () => void): void {
  const lookUp = `require("dns").lookup("known.test", { all: true }, (_, found) => console.log(JSON.stringify(found)))`;
  const folder = mkdtempSync(join(temporaryRoot, "spiped-"));
  const file = join(folder, "hosts");
  writeFileSync(file, "127.0.0.5 known.test\n");
  const env = { ...process.env, LD_PRELOAD: wrapper, NSS_WRAPPER_HOSTS: file };
  const { stdout } = spawnSync(process.execPath, ["-e", lookUp], { env, encoding: "utf8" });
  rmSync(folder, { recursive: true });
  declareIf(stdout.includes("127.0.0.5") ? true : undefined, `${wrapper} (package libnss-wrapper)`, declare);
}
