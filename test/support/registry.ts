// A package registry on loopback, which can fail in the ways that real ones do.

import { createHash } from "node:crypto";
import { once } from "node:events";
import { readdir, readFile } from "node:fs/promises";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { afterwards, temporaryFolder } from "./cleanup.js";
import { npmArgs, runNpm } from "./npm.js";

/** How it misbehaves: not at all, claiming not to have a version until it is published, or not answering. */
export type Manners = "good" | "forgetful" | "broken";

interface Version {
  readonly version: string;
  readonly dist: { readonly integrity: string; readonly tarball?: string };
}

/** What npm sends to publish. */
interface Publication {
  readonly name: string;
  readonly versions: Readonly<Record<string, Version>>;
  readonly _attachments: Readonly<Record<string, { readonly data: string }>>;
}

/** A running registry. */
export class Registry {
  manners: Manners = "good";
  /** Published packages in order, as `name@version`. */
  readonly published: string[] = [];
  /** Number of publications it accepts before it breaks. */
  takes = Number.POSITIVE_INFINITY;
  readonly #packages = new Map<string, Record<string, Version>>();
  readonly #tarballs = new Map<string, Buffer>();
  #url = "";
  stop = (): void => undefined;

  /** Environment variables that make npm use it. */
  get env(): Readonly<Record<string, string>> {
    return { npm_config_registry: this.#url, [`npm_config_${this.#url.replace(/^http:/, "")}:_authToken`]: "a token" };
  }

  static async start(t: TestContext): Promise<Registry> {
    const registry = new Registry();
    const server = createServer(async (request, response) => {
      const { status, body } = await registry.#answer(request);
      response.writeHead(status, { "content-type": "application/json", connection: "close" });
      response.end(body instanceof Buffer ? body : JSON.stringify(body));
    });
    await once(server.listen(0, "127.0.0.1"), "listening");
    registry.#url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    registry.stop = () => {
      server.closeAllConnections();
      server.close();
    };
    afterwards(t, registry.stop);
    return registry;
  }

  /** Has a version of a package from the start. */
  hold(name: string, version: string, integrity: string): void {
    const versions = this.#packages.get(name) ?? {};
    versions[version] = { version, dist: { integrity } };
    this.#packages.set(name, versions);
  }

  /** Has a package as it lies in a folder, for npm to install. */
  async holdFolder(t: TestContext, folder: string): Promise<void> {
    const manifest = JSON.parse(await readFile(join(folder, "package.json"), "utf8")) as Version & { name: string };
    const own = await temporaryFolder(t);
    const args = npmArgs("npm", "pack", "--ignore-scripts", "--pack-destination", own, folder);
    await runNpm(t, args, { cwd: own, env: { npm_config_cache: join(own, "cache") } });
    const [file = ""] = (await readdir(own)).filter((name) => name.endsWith(".tgz"));
    const bytes = await readFile(join(own, file));
    this.#tarballs.set(file, bytes);
    const { name, version } = manifest;
    const dist = { integrity: integrityOf(bytes), tarball: `${this.#url}-/${file}` };
    this.#packages.set(name, { [version]: { ...manifest, dist } });
  }

  async #answer(request: IncomingMessage): Promise<{ status: number; body: unknown }> {
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece as Buffer);
    if (this.manners === "broken") return { status: 500, body: { error: "out of order" } };
    const name = decodeURIComponent((request.url ?? "/").slice(1).replace(/\?.*/, ""));
    const versions = this.#packages.get(name);
    if (request.method === "PUT") return this.#publish(JSON.parse(Buffer.concat(pieces).toString()) as Publication);
    const tarball = this.#tarballs.get(name.replace(/^-\//, ""));
    if (tarball !== undefined) return { status: 200, body: tarball };
    if (versions === undefined || this.manners === "forgetful") return { status: 404, body: { error: "Not found" } };
    return { status: 200, body: { name, versions, "dist-tags": { latest: Object.keys(versions).at(-1) } } };
  }

  #publish({ name, versions, _attachments: attachments }: Publication): { status: number; body: unknown } {
    const [version = ""] = Object.keys(versions);
    if (this.manners === "forgetful") this.manners = "good";
    if (this.#packages.get(name)?.[version] !== undefined) {
      return { status: 409, body: { error: "You cannot publish over the previously published versions" } };
    }
    if (this.takes === 0) return { status: 500, body: { error: "out of order" } };
    this.takes -= 1;
    const [attachment] = Object.values(attachments);
    const bytes = Buffer.from(attachment?.data ?? "", "base64");
    this.hold(name, version, integrityOf(bytes));
    this.published.push(`${name}@${version}`);
    return { status: 201, body: { ok: true } };
  }
}

/** As npm writes it. */
function integrityOf(bytes: Uint8Array): string {
  return `sha512-${createHash("sha512").update(bytes).digest("base64")}`;
}
