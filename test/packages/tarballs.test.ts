// The packages as published: installed from their tarballs into an empty folder, without a registry or build tools.
//
// SPIPED_TARBALLS names a folder of tarballs to use instead of packing this checkout; npm may then fetch their dependencies
// from the registry.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { type Address, textOf } from "../support/addresses.js";
import { failsafeMs, temporaryFolder } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { Listener } from "../support/listener.js";
import { bareEnvironment, npmArgs, runNpm } from "../support/npm.js";
import { TestSocket } from "../support/test-socket.js";

const MAX_MAIN_BYTES = 500_000;
const MAX_PLATFORM_BYTES = 1_500_000;

const root = fileURLToPath(new URL("../../../", import.meta.url));
const given = process.env["SPIPED_TARBALLS"] && resolve(process.env["SPIPED_TARBALLS"]);

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly scripts?: unknown;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

interface Tarballs {
  readonly main: string;
  readonly platform: string;
  /** The dependencies of the main package; empty if they come from the registry. */
  readonly dependencies: readonly string[];
}

/** A new folder with packages installed in it. */
interface Installation {
  readonly folder: string;
  readonly env: Readonly<Record<string, string>>;
}

const platform = platformName();
let tarballs: Tarballs;
let packFolder: string | undefined;

before(async () => {
  if (given === undefined) packFolder = await mkdtemp(join(tmpdir(), "spiped-"));
  tarballs = packFolder === undefined ? tarballsIn(given ?? "") : await pack(packFolder);
});

after(async () => {
  if (packFolder !== undefined) await rm(packFolder, { recursive: true });
});

test("the packages", { timeout: 3 * failsafeMs }, async (t) => {
  const { folder, env } = await install(t, [tarballs.main, tarballs.platform, ...tarballs.dependencies]);
  const key = join(folder, "keyfile");
  const main = manifestOf(folder, "spiped");

  await t.test("are small", () => {
    assert.ok(statSync(tarballs.main).size < MAX_MAIN_BYTES);
    assert.ok(statSync(tarballs.platform).size < MAX_PLATFORM_BYTES);
  });

  await t.test(
    "run no scripts, and depend only on the platform packages and on modules that the commands bundle",
    () => {
      const own = manifestOf(folder, `@spiped/${platform}`);
      assert.deepEqual([main.scripts, own.scripts, own.dependencies], [undefined, undefined, undefined]);
      assert.deepEqual(Object.keys(main.dependencies ?? {}), ["commander", "smol-toml"]);
      assert.equal(main.optionalDependencies?.[`@spiped/${platform}`], own.version);
      assert.ok(Object.values(main.optionalDependencies ?? {}).every((version) => version === main.version));
    },
  );

  await t.test("contain code, man pages and completions, and nothing else of the checkout", () => {
    const files = readdirSync(join(folder, "node_modules", "spiped"), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ name }) => name);
    const other = files.filter(
      (name) =>
        !/\.c?js$|\.js\.map$|\.d\.ts$|^(README\.md|LICENSE(\.third-party\.txt)?|package\.json|status-page\.html|spipe\.1|spiped\.(1|bash|fish)|_spiped)$/.test(
          name,
        ),
    );
    assert.deepEqual(other, []);
  });

  await t.test("contain the commands in a few files, with the license and version of bundled modules", () => {
    const dist = join(folder, "node_modules", "spiped", "dist");
    assert.deepEqual(readdirSync(join(dist, "commands")).sort(), [
      "LICENSE.third-party.txt",
      "commands.cjs",
      "early-signals.cjs",
      "status-page.html",
      "toml.cjs",
    ]);
    for (const part of ["cli", "flags", "observe", "probe", "service", "status"])
      assert.ok(!readdirSync(dist).includes(part));
    const licenses = readFileSync(join(dist, "commands", "LICENSE.third-party.txt"), "utf8");
    for (const [name, text] of [
      ["commander", "Permission is hereby granted"],
      ["smol-toml", "Redistribution and use in source and binary forms"],
    ] as const) {
      assert.match(licenses, new RegExp(`^${name} ${main.dependencies?.[name]}\n\n[^]*${text}`, "m"));
    }
  });

  await t.test("run the commands from these files only", async (st) => {
    for (const name of ["commander", "smol-toml"]) rmSync(join(folder, "node_modules", name), { recursive: true });
    for (const name of ["spiped", "spipe"] as const) {
      const args = [...commandIn(folder, name), "--version"] as const;
      const { stdout, stderr } = await Command.run(st, args, { stdin: "ignore", env });
      assert.deepEqual([stdout, stderr], [`${name} ${main.version}\n`, ""]);
    }
  });

  await t.test("map the library's lines to its sources", () => {
    const dist = join(folder, "node_modules", "spiped", "dist");
    const map = JSON.parse(readFileSync(join(dist, "library/connect.js.map"), "utf8")) as { sourcesContent: string[] };
    assert.match(map.sourcesContent[0] ?? "", /export (async )?function connect\(/);
  });

  await t.test("provide the command spiped to npx", async (st) => {
    assert.equal(
      await runNpm(st, npmArgs("npx", "spiped", "--version"), { cwd: folder, env }),
      `spiped ${main.version}\n`,
    );
    await runNpm(st, npmArgs("npx", "spiped", "keygen", key), { cwd: folder, env });
    assert.equal(statSync(key).size, 32);
  });

  await t.test("carry data both ways through a tunnel", async (st) => {
    const service = await Listener.listen(st, "tcp");
    const far = await startEnd(st, { folder, env }, "-d", service.address, key);
    const near = await startEnd(st, { folder, env }, "-e", far, key);
    const client = await TestSocket.connect(st, near);
    await client.write("there");
    client.finish();
    const server = await service.next();
    assert.equal(Buffer.from((await server.readToEnd()).bytes).toString(), "there");
    await server.write("and back");
    server.finish();
    assert.equal(Buffer.from((await client.readToEnd()).bytes).toString(), "and back");
  });

  await t.test("provide the command spipe to npx", async (st) => {
    const service = await Listener.listen(st, "tcp");
    const far = await startEnd(st, { folder, env }, "-d", service.address, key);
    const args = npmArgs("npx", "-p", "spiped", "spipe", "-t", textOf(far), "-k", key);
    const spipe = Command.start(st, args, { cwd: folder, env });
    spipe.stdin.end("there");
    const server = await service.next();
    assert.equal(Buffer.from((await server.readToEnd()).bytes).toString(), "there");
    await server.write("and back");
    server.finish();
    assert.deepEqual(await spipe.exit(), { status: 0, signal: null });
    assert.equal(spipe.stdout.toString(), "and back");
  });

  for (const [how, file, head] of [
    ["import", "program.mjs", `import { connect, createServer, readKeyFile, SpipedError } from "spiped";`],
    ["require", "program.cjs", `const { connect, createServer, readKeyFile, SpipedError } = require("spiped");`],
  ] as const) {
    await t.test(`work as a library for ${how}`, async (st) => {
      await writeFile(join(folder, file), `${head}\n${PROGRAM}`);
      const { status, stdout, stderr } = await Command.run(st, [process.execPath, file, key], {
        stdin: "ignore",
        cwd: folder,
        env,
      });
      assert.deepEqual(
        { status, stdout, stderr },
        { status: 0, stdout: "there and backSPIPED_KEY_FILE\n", stderr: "" },
      );
    });
  }
});

test("without the platform package, the commands name the missing one and say what to do", async (t) => {
  const { folder, env } = await install(t, [tarballs.main, ...tarballs.dependencies], ["--omit=optional"]);
  for (const name of ["spiped", "spipe"] as const) {
    const { status, stdout, stderr } = await Command.run(t, [...commandIn(folder, name), "--version"], {
      stdin: "ignore",
      env,
    });
    assert.deepEqual({ status, stdout }, { status: 1, stdout: "" });
    const lines = stderr.trimEnd().split("\n");
    assert.match(lines[0] ?? "", new RegExp(`^${name}: cannot load the native part for ${platform} .*; tried$`));
    assert.ok(lines.some((line) => line.startsWith(`  @spiped/${platform}: Cannot find module`)));
    assert.match(lines.at(-1) ?? "", new RegExp(`hint: the package @spiped/${platform} is missing.*reinstall`));
  }
});

/** A server and a client of the library in one program: the server echoes. */
const PROGRAM = `
async function main() {
  const key = await readKeyFile(process.argv[2]);
  const server = createServer({ key }, (stream) => stream.pipe(stream));
  await server.listen("[127.0.0.1]:0");
  const stream = connect({ target: server.address, key });
  stream.end("there and back");
  for await (const piece of stream) process.stdout.write(piece);
  await server.close();
  const missing = await readKeyFile(process.argv[2] + ".missing").catch((error) => error);
  console.log(missing instanceof SpipedError ? missing.code : missing);
}
main();
`;

async function pack(folder: string): Promise<Tarballs> {
  await succeed([process.execPath, join(root, "scripts", "pack-all.mjs"), folder]);
  await succeed(
    npmArgs(
      "npm",
      "pack",
      "--ignore-scripts",
      "--loglevel=error",
      "--pack-destination",
      folder,
      "./node_modules/commander",
      "./node_modules/smol-toml",
    ),
  );
  return { ...tarballsIn(folder), dependencies: [/^commander-/, /^smol-toml-/].map((name) => tarballIn(folder, name)) };
}

async function succeed([file, ...args]: readonly [string, ...string[]]): Promise<void> {
  // The home folder may not be writable.
  const env = { ...process.env, npm_config_cache: join(packFolder ?? tmpdir(), "cache") };
  const child = spawn(file, args, { cwd: root, env, stdio: ["ignore", "ignore", "inherit"] });
  const [status] = await once(child, "exit");
  assert.equal(status, 0, args.join(" "));
}

function tarballsIn(folder: string): Tarballs {
  return {
    main: tarballIn(folder, /^spiped-\d.*\.tgz$/),
    platform: tarballIn(folder, new RegExp(`^spiped-${platform}-\\d.*\\.tgz$`)),
    dependencies: [],
  };
}

function tarballIn(folder: string, pattern: RegExp): string {
  const [only, ...more] = readdirSync(folder).filter((name) => pattern.test(name));
  assert.ok(only !== undefined && more.length === 0, `one tarball in ${folder} matches ${pattern}`);
  return join(folder, only);
}

async function install(
  t: TestContext,
  tarballs: readonly string[],
  flags: readonly string[] = [],
): Promise<Installation> {
  const folder = join(await temporaryFolder(t), "project");
  await mkdir(folder);
  await writeFile(join(folder, "package.json"), `{ "private": true }\n`);
  const env = await bareEnvironment(t, given === undefined);
  await runNpm(t, npmArgs("npm", "install", ...flags, ...tarballs), { cwd: folder, env });
  return { folder, env };
}

function manifestOf(folder: string, name: string): Manifest {
  return JSON.parse(readFileSync(join(folder, "node_modules", name, "package.json"), "utf8")) as Manifest;
}

/** An installed command, through npm's links. */
function commandIn(folder: string, name: "spiped" | "spipe"): readonly [string, ...string[]] {
  const modules = join(folder, "node_modules");
  if (process.platform === "win32") return [process.execPath, join(modules, "spiped", "bin", `${name}.js`)];
  return [join(modules, ".bin", name)];
}

async function startEnd(
  t: TestContext,
  { folder, env }: Installation,
  end: "-d" | "-e",
  target: Address,
  key: string,
): Promise<Address> {
  const args = ["-F", end, "-s", "[127.0.0.1]:0", "-t", textOf(target), "-k", key];
  const command = Command.start(t, [...commandIn(folder, "spiped"), ...args], { stdin: "ignore", env });
  const line = await command.line(/listening on /);
  const port = Number(/listening on \[127\.0\.0\.1\]:(\d+)/.exec(line)?.[1]);
  return { kind: "tcp", host: "127.0.0.1", port };
}

/** The name of this platform's package, found without the package's code. */
function platformName(): string {
  if (process.platform === "win32") return `win32-${process.arch}-msvc`;
  if (process.platform !== "linux") return `${process.platform}-${process.arch}`;
  const { header } = process.report.getReport() as { readonly header: object };
  return `linux-${process.arch}-${"glibcVersionRuntime" in header ? "gnu" : "musl"}`;
}
