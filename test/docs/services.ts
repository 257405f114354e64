// The services behind the tunnels of the documentation, each on the address that its page names.

import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { chown, writeFile } from "node:fs/promises";
import { createServer as createHttpServer, type RequestListener } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { makeCertificate } from "../support/certificate.js";
import { afterwards, temporaryFolder, until } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { type Right, refused } from "../support/environment.js";
import { administrator, controllerFiles } from "../support/ipmi.js";
import { rowsOf } from "../support/listening.js";
import { commandOnPath } from "../support/programs.js";
import { withOwnFolders } from "../support/sshd.js";
import { startHaproxy, startNginx } from "../support/web-servers.js";
import { readPage } from "./pages.js";

/** Where a service is needed. */
export interface Place {
  /** The addresses used as the loopback of both machines. */
  readonly near: string;
  readonly far: string;
  /** The folder of both machines. */
  readonly folder: string;
  /** Marks the commands that run there, and the processes and files they leave. */
  readonly mark: Readonly<Record<string, string>>;
}

/** A service; `settled` runs after each block of commands, `check` after all. */
export interface Service {
  /** Commands of the section or the service that may be missing. */
  readonly needs: readonly string[];
  /** Whether it needs root: ports below 1024, other users. */
  readonly asRoot?: true;
  /** What root in a container may not be allowed to do. */
  readonly rights?: readonly Right[];
  start(t: TestContext, place: Place): Promise<{ settled?(): Promise<void>; check?(): Promise<void> }>;
}

/** Two loopback addresses that no other test uses. */
export function placeIn(folder: string, mark: Place["mark"] = {}): Place {
  const network = `127.${randomInt(1, 255)}.${randomInt(256)}`;
  return { folder, mark, near: `${network}.1`, far: `${network}.2` };
}

/** Why a service cannot run on this system; false if it can. */
export function lacking(service: Service | undefined): string | false {
  const missing = (service?.needs ?? []).filter((name) => commandOnPath(name) === undefined);
  const wants: string[] = missing.length === 0 ? [] : [missing.join(", ")];
  // Elsewhere 127.0.0.1 is the only loopback address.
  if (process.platform !== "linux") wants.push("Linux");
  if (service?.asRoot && process.getuid?.() !== 0) wants.push("root");
  if (wants.length === 0 && service?.rights !== undefined) wants.push(...refused(service.rights));
  if (wants.length === 0) return false;
  // The tests' list of packages is incomplete in this case.
  if (missing.length > 0 && process.platform === "linux" && process.env["SPIPED_REQUIRE_INTEROP"] === "1") return false;
  process.stderr.write(`SKIPPED: a test of the documentation needs ${wants.join(" and ")}\n`);
  return `needs ${wants.join(" and ")}`;
}

async function listen(t: TestContext, server: Server, host: string, port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, resolve);
  });
  afterwards(t, () => {
    server.close();
  });
}

/** Starts a server program of the system, and waits until it listens. */
async function startServer(
  t: TestContext,
  args: readonly [string, ...string[]],
  host: string,
  port: number,
): Promise<void> {
  const command = Command.start(t, args, { stdin: "ignore" });
  await until(async () => {
    assert.ok(!command.isGone, command.stderr);
    return (await answers(host, port)) ? true : undefined;
  }, `an answer of ${command.commandLine}`);
}

function answers(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, host, () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });
}

/** An IPv4 address as in /proc/net, on a little-endian machine. */
function hexOf(host: string): string {
  const bytes = host.split(".").map(Number).reverse();
  return Buffer.from(bytes).toString("hex").toUpperCase();
}

function pathOf(command: string): string {
  return commandOnPath(command) ?? command;
}

/** Collects everything sent to port 2003 of the far machine. */
export function collector(wanted: readonly RegExp[], needs: readonly string[]): Service {
  return {
    needs,
    async start(t, { far }) {
      let text = "";
      const server = createServer((socket) => {
        socket.setEncoding("utf8");
        socket.on("data", (data) => {
          text += data;
        });
        socket.on("error", () => undefined);
        socket.on("end", () => socket.end());
      });
      await listen(t, server, far, 2003);
      return {
        check: async () => {
          await until(() => (wanted.every((one) => one.test(text)) ? true : undefined), `${wanted} in ${text}`);
        },
      };
    },
  };
}

/** Keeps connecting through a near end while a test runs: after the first connection, all succeed and are answered. */
export const unbroken: Service = {
  needs: [],
  async start(t, place) {
    await echo(t, place);
    let answered = 0;
    let failure: unknown;
    let isOver = false;
    const load = async () => {
      while (!isOver) {
        await says(place.near, 2003).then(
          () => (answered += 1),
          (error: unknown) => {
            if (answered > 0) failure ??= error;
          },
        );
        if (answered === 0) await new Promise((wake) => setTimeout(wake, 20));
      }
    };
    const running = load();
    afterwards(t, async () => {
      isOver = true;
      await running;
    });
    /** Resolves when the connections that were open before have ended. */
    const more = async () => {
      if (answered === 0 && !(await says(place.near, 2003).catch(() => false))) return;
      const before = answered;
      await until(() => (answered >= before + 3 || failure !== undefined ? true : undefined), "further answers");
      assert.equal(failure, undefined);
    };
    return { settled: more, check: more };
  },
};

/** Two connected clients, the second of which is revoked in the end. */
export const oneOfTwo: Service = {
  needs: [],
  async start(t, place) {
    await echo(t, place);
    let open: { readonly first: Socket; readonly second: Socket } | undefined;
    return {
      async settled() {
        if (open !== undefined || !(await says(place.near, 2004).catch(() => false))) return;
        const [first, second] = [connect(2003, place.near), connect(2004, place.near)];
        open = { first, second };
        for (const socket of [first, second]) {
          afterwards(t, () => {
            socket.destroy();
          });
          await isAnswered(socket);
        }
      },
      async check() {
        assert.ok(open !== undefined, "both were connected");
        const { first, second } = open;
        if (!second.destroyed) await new Promise((closed) => second.on("error", () => undefined).once("close", closed));
        await isAnswered(first);
        await says(place.near, 2003);
        await assert.rejects(says(place.near, 2004));
      },
    };
  },
};

async function echo(t: TestContext, { far }: Place): Promise<void> {
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.pipe(socket);
  });
  await listen(t, server, far, 2003);
}

/** Connects, sends something, and ends after the answer. */
async function says(host: string, port: number): Promise<true> {
  const socket = connect(port, host);
  await isAnswered(socket);
  socket.end();
  return true;
}

async function isAnswered(socket: Socket): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    socket.once("error", reject);
    socket.once("close", () => reject(new Error("closed without an answer")));
    socket.once("data", () => resolve());
    socket.write("are you there?");
  });
}

export const httpApi: Service = {
  needs: ["curl"],
  async start(t, { far }) {
    const answer: RequestListener = (_request, response) => response.end("ok\n");
    await listen(t, createHttpServer(answer), far, 8080);
    return {};
  },
};

/** A web page on port 8001 of the far machine. */
export const webPage: Service = {
  needs: ["curl"],
  async start(t, { far }) {
    const answer: RequestListener = (_request, response) => response.end("hello\n");
    await listen(t, createHttpServer(answer), far, 8001);
    return {};
  },
};

export const redfish: Service = {
  needs: ["curl", "openssl"],
  asRoot: true,
  async start(t, { far, folder }) {
    const options = await makeCertificate(t, folder);
    const answer: RequestListener = (_request, response) => response.end('{"RedfishVersion":"1.15.0"}\n');
    await listen(t, createHttpsServer(options, answer), far, 443);
    return {};
  },
};

/** A management controller's UDP port 623; the `ipmitool` of the commands knows its password. */
export const ipmi: Service = {
  needs: ["socat", "ipmitool", "ipmi_sim"],
  asRoot: true,
  async start(t, { far, folder }) {
    const { settings, commands } = controllerFiles({ host: far, sensors: 2 });
    const state = await temporaryFolder(t);
    const file = (name: string) => join(state, name);
    await writeFile(file("settings"), settings);
    await writeFile(file("commands"), commands);
    const args = ["-n", "-c", file("settings"), "-f", file("commands"), "-s", state];
    const command = Command.start(t, [pathOf("ipmi_sim"), ...args], { stdin: "ignore" });
    // It supports cipher suite 3, and does not announce it.
    const script = `#!/bin/sh\nIPMI_PASSWORD=${administrator.password} exec ${pathOf("ipmitool")} -C 3 "$@"\n`;
    await writeFile(join(folder, "bin", "ipmitool"), script, { mode: 0o755 });
    await until(async () => {
      assert.ok(!command.isGone, command.stderr);
      return rowsOf("/proc/net/udp").some(([, local]) => local === `${hexOf(far)}:026F`) ? true : undefined;
    }, "ipmi_sim to listen");
    return {};
  },
};

export const redis: Service = {
  needs: ["redis-server", "redis-cli"],
  async start(t, { far, folder }) {
    const where = ["--port", "6379", "--bind", far, "--protected-mode", "no", "--save", "", "--dir", folder];
    await startServer(t, [pathOf("redis-server"), ...where], far, 6379);
    return {};
  },
};

export const postgres: Service = {
  needs: ["psql", "initdb", "postgres", "setpriv"],
  asRoot: true,
  rights: ["users"],
  async start(t, { far }) {
    // It refuses to run as root.
    const folder = await temporaryFolder(t);
    await chown(folder, 65_534, 65_534);
    const data = join(folder, "data");
    const asNobody = [pathOf("setpriv"), "--reuid=65534", "--regid=65534", "--clear-groups", "--"] as const;
    const make = ["-D", data, "-U", "app", "--auth=trust", "--no-sync"];
    const made = await Command.run(t, [...asNobody, pathOf("initdb"), ...make]);
    assert.equal(made.status, 0, made.stderr);
    await writeFile(join(data, "pg_hba.conf"), "host all app 127.0.0.0/8 trust\n");
    const settings = ["-c", `listen_addresses=${far}`, "-c", "unix_socket_directories=", "-c", "fsync=off"];
    await startServer(t, [...asNobody, pathOf("postgres"), "-D", data, ...settings], far, 5432);
    const args = ["-h", far, "-U", "app", "-d", "postgres", "-c", "CREATE DATABASE app"];
    const created = await Command.run(t, [pathOf("psql"), ...args]);
    assert.equal(created.status, 0, created.stderr);
    return {};
  },
};

/** An sshd; the `ssh` of the commands gets an identity that it accepts. */
export const sshd: Service = {
  needs: ["sshd", "ssh", "ssh-keygen", "unshare"],
  asRoot: true,
  rights: ["mounts"],
  async start(t, { far, folder }) {
    for (const file of ["host", "identity"]) {
      const args = ["-q", "-t", "ed25519", "-N", "", "-f", join(folder, file)];
      const { status } = await Command.run(t, [pathOf("ssh-keygen"), ...args]);
      assert.equal(status, 0);
    }
    const lines = [
      `HostKey ${join(folder, "host")}`,
      `AuthorizedKeysFile ${join(folder, "identity.pub")}`,
      `ListenAddress ${far}:22`,
      "PidFile none",
      "StrictModes no",
      "UsePAM no",
      "PasswordAuthentication no",
      "PermitRootLogin prohibit-password",
    ];
    await writeFile(join(folder, "sshd_config"), `${lines.join("\n")}\n`);
    const args = ["-D", "-e", "-f", join(folder, "sshd_config")];
    await startServer(t, [...withOwnFolders, pathOf("sshd"), ...args], far, 22);
    const options = ["-F /dev/null", "-o BatchMode=yes", "-o StrictHostKeyChecking=no", "-o LogLevel=ERROR"];
    options.push("-o UserKnownHostsFile=/dev/null", `-i ${join(folder, "identity")}`);
    const script = `#!/bin/sh\nexec ${pathOf("ssh")} ${options.join(" ")} "$@"\n`;
    await writeFile(join(folder, "bin", "ssh"), script, { mode: 0o755 });
    return {};
  },
};

/** Two nodes that echo. */
export const nodes: Service = {
  needs: ["socat"],
  async start(t, { near, far }) {
    for (const [host, port] of [
      [near, 25_521],
      [far, 25_522],
    ] as const) {
      const server = createServer({ allowHalfOpen: true }, (socket) =>
        socket.on("error", () => undefined).pipe(socket),
      );
      await listen(t, server, host, port);
    }
    return {};
  },
};

/** A web server on the far machine, with the configuration from the recipes. */
function fromPage(program: string, language: string, start: typeof startNginx): Service {
  return {
    needs: [program, "curl"],
    async start(t, { far }) {
      const config = new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, "m").exec(
        readPage("docs/recipes.md"),
      )?.[1];
      assert.ok(config !== undefined, `docs/recipes.md has a block of ${language}`);
      const command = await start(t, pathOf(program), config.replaceAll("127.0.0.1", far));
      await until(async () => {
        assert.ok(!command.isGone, command.stderr);
        return (await answers(far, 8080)) ? true : undefined;
      }, `an answer of ${command.commandLine}`);
      return {};
    },
  };
}

export const nginx = fromPage("nginx", "nginx", startNginx);
export const haproxy = fromPage("haproxy", "haproxy", startHaproxy);

export const nothing: Service = { needs: [], start: async () => ({}) };
