// The files of contrib, checked with the programs that read them, where they are installed.

import assert from "node:assert/strict";
import { copyFile, readFile, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { variableOf } from "#dist/cli/environment.js";
import { spipedCommand } from "#dist/cli/spiped.js";
import { freeAddress, textOf } from "../support/addresses.js";
import { limits, temporaryFolder } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { echo, handing, managed } from "../support/handed-sockets.js";
import { Listener } from "../support/listener.js";
import { commandOnPath, ours, root, withCommands } from "../support/programs.js";
import { newKey, patience, startSpiped } from "../support/tunnel.js";

const contrib = join(root, "contrib");

/** The units: one for each tunnel, and one for the tunnels of a folder. */
const units = ["spiped@.service", "spiped.service"] as const;

/** Installs a unit as systemd expects it; an instance if it is a template. */
async function unit(t: TestContext, name: (typeof units)[number] = "spiped@.service"): Promise<string> {
  const folder = await temporaryFolder(t);
  const text = await readFile(join(contrib, "systemd", name), "utf8");
  const path = join(folder, name.replace("@", "@ssh"));
  await writeFile(path, text);
  if (name.includes("@")) await copyFile(path, join(folder, name));
  return path;
}

withCommands(["systemd-analyze"], ([analyze = ""]) => {
  for (const name of units) {
    test(`systemd-analyze verify finds nothing wrong in ${name}`, limits, async (t) => {
      const path = await unit(t, name);
      const { stdout, stderr } = await Command.run(t, [analyze, "verify", "--man=no", path]);
      // It reports the system's own units, too.
      const lines = `${stdout}${stderr}`.split("\n").filter((line) => line.includes("spiped"));
      assert.deepEqual(lines, []);
    });

    test(`systemd-analyze security rates ${name} below 1.6`, limits, async (t) => {
      const args = [
        analyze,
        "security",
        "--offline=true",
        "--threshold=16",
        "--no-pager",
        await unit(t, name),
      ] as const;
      const { status, stdout, stderr } = await Command.run(t, args);
      assert.equal(status, 0, `${stdout.slice(-200)}${stderr}`);
    });
  }

  test("systemd-analyze verify finds nothing wrong in the unit of docs/deployment.md", limits, async (t) => {
    const [, text] =
      /^```ini\n(\[Unit\]\n[\s\S]*?)^```$/m.exec(await readFile(join(root, "docs/deployment.md"), "utf8")) ?? [];
    assert.ok(text !== undefined);
    const path = join(await temporaryFolder(t), "spiped-ssh.service");
    await writeFile(path, text);
    const { stdout, stderr } = await Command.run(t, [analyze, "verify", "--man=no", path]);
    assert.deepEqual(
      `${stdout}${stderr}`.split("\n").filter((line) => line.includes("spiped")),
      [],
    );
  });
});

withCommands(["systemd-analyze"], ([analyze = ""]) => {
  test("systemd-analyze verify finds nothing wrong in the socket beside the unit", limits, async (t) => {
    const path = join(dirname(await unit(t)), "spiped@ssh.socket");
    await copyFile(join(contrib, "systemd/spiped@ssh.socket.example"), path);
    const { stdout, stderr } = await Command.run(t, [analyze, "verify", "--man=no", path]);
    assert.deepEqual(
      `${stdout}${stderr}`.split("\n").filter((line) => line.includes("spiped")),
      [],
    );
  });
});

test("docs/deployment.md: restarting the unit with its socket under load refuses no connection", limits, async (t) => {
  if (process.platform === "win32") return t.skip("needs descriptors");
  const service = await readFile(join(contrib, "systemd/spiped@.service"), "utf8");
  const socket = await readFile(join(contrib, "systemd/spiped@ssh.socket.example"), "utf8");
  const page = await readFile(join(root, "docs/deployment.md"), "utf8");
  assert.match(socket, /^ListenStream=0\.0\.0\.0:8022$/m);
  const [, flags = ""] = /^ExecStart=\/usr\/bin\/env spiped (.*)$/m.exec(service) ?? [];
  const [, variable = "", value = ""] =
    /^sed -i 's\/\^(\w+)=\.\*\/\1=(.*)\/' \/etc\/spiped\/ssh\.env$/m.exec(page) ?? [];
  const [, ...drain] = /^Environment=(\w+)=(\d+)$/m.exec(service) ?? [];
  const key = await newKey(t);
  const target = await Listener.listen(t, "tcp");
  target.echo();
  const far = await managed(t, "tcp");
  // The flags of the unit, with the key's path instead of the credential.
  const args = flags.split(" ").map((word) => word.replace(/^\$\{CREDENTIALS_DIRECTORY\}\/key$/, key.path));
  const env = {
    SPIPED_DECRYPT: "yes",
    SPIPED_TARGET: textOf(target.address),
    SPIPED_TIMEOUT: "60",
    [variable]: value,
    [drain[0] ?? ""]: drain[1] ?? "",
  };
  const start = async () => {
    const command = Command.start(t, handing([...ours.spiped, ...args], {}), {
      stdin: "ignore",
      more: [far.descriptor],
      env,
    });
    await command.line(/listening on .* \(systemd:\), decrypting/);
    return command;
  };
  const near = await startSpiped(t, { end: "-e", source: "tcp", target: far.address, key, flags: patience });
  let going = true;
  const answers: Array<string | undefined> = [];
  const load = async () => {
    while (going) answers.push(await echo(near.source));
  };
  let command = await start();
  const clients = [load(), load()];
  for (let count = 0; count < 3; count += 1) {
    command.signal("SIGTERM");
    assert.equal((await command.exit()).status, 0, command.stderr);
    command = await start();
  }
  going = false;
  await Promise.all(clients);
  assert.deepEqual([answers.length > 2, answers.filter((one) => one !== undefined)], [true, []]);
});

test("the shipped drain timeouts are shorter than the supervisors' stop timeouts", async () => {
  const read = (file: string) => readFile(join(contrib, file), "utf8");
  const seconds = (text: string, pattern: RegExp) => Number(pattern.exec(text)?.[1] ?? assert.fail(String(pattern)));
  const unitTexts = await Promise.all(units.map((name) => read(`systemd/${name}`)));
  const limitOf: ReadonlyArray<readonly [drain: number, supervisor: number]> = [
    ...unitTexts.map(
      (text) =>
        [seconds(text, /^Environment=SPIPED_DRAIN_TIMEOUT=(\d+)$/m), seconds(text, /^TimeoutStopSec=(\d+)$/m)] as const,
    ),
    // The default of docker stop.
    [seconds(await read("docker/Dockerfile"), /^ENV SPIPED_DRAIN_TIMEOUT=(\d+)$/m), 10],
    ...(await Promise.all(
      ["daemon-set", "side-car"].map(async (name) => {
        const text = await read(`kubernetes/${name}.yaml`);
        const drain = seconds(text, /"--drain-timeout",\s*"(\d+)",?\s*\]/);
        return [drain, seconds(text, /^ +terminationGracePeriodSeconds: (\d+)$/m)] as const;
      }),
    )),
  ];
  for (const [drain, supervisor] of limitOf) assert.ok(drain > 0 && drain < supervisor, `${drain} < ${supervisor}`);
});

for (const name of units) {
  test(`${name} finds spiped and node on the PATH, and logs to the journal as spiped`, limits, async (t) => {
    if (process.platform === "win32") return t.skip("needs env");
    const text = await readFile(join(contrib, "systemd", name), "utf8");
    const [, program = ""] = /^ExecStart=(\S+ \S+) /m.exec(text) ?? [];
    assert.match(text, /^SyslogIdentifier=spiped$/m);
    // As a drop-in for nvm or Homebrew would set it: no other node is on the PATH.
    const bin = await temporaryFolder(t);
    await symlink(process.execPath, join(bin, "node"));
    await symlink(join(root, "bin/spiped.js"), join(bin, "spiped"));
    const [file = "", ...args] = [...program.split(" "), "--version"];
    const { status, stdout, stderr } = await Command.run(t, [file, ...args], { stdin: "ignore", env: { PATH: bin } });
    assert.equal(status, 0, stderr);
    assert.match(stdout, /^spiped \d/);
  });

  test(`${name} allows writable and executable memory, which the JIT compiler needs`, async () => {
    const text = await readFile(join(contrib, "systemd", name), "utf8");
    assert.doesNotMatch(text, /^MemoryDenyWriteExecute=/m);
  });
}

test("the environment variables in the example of a unit belong to flags", async () => {
  const text = await readFile(join(contrib, "systemd/ssh.env.example"), "utf8");
  const known = spipedCommand().options.map(variableOf);
  const used = [...text.matchAll(/^([A-Z_]+)=/gm)].map((match) => match[1] ?? "");
  assert.ok(used.length > 2);
  assert.deepEqual(
    used.filter((variable) => !known.includes(variable)),
    [],
  );
});

test("the image does not run as root, and starts with the entry point", async () => {
  const text = await readFile(join(contrib, "docker/Dockerfile"), "utf8");
  const last = text.split(/^FROM /m).at(-1) ?? "";
  assert.match(last, /^COPY .* contrib\/docker\/entrypoint \/usr\/local\/bin\/entrypoint$/m);
  assert.match(last, /^ENTRYPOINT \["entrypoint"\]$/m);
  assert.match(last, /^USER 1000:1000$/m);
});

/** Runs the image's entry point with commands that print their name and process ID. */
async function entryPoint(t: TestContext, ...args: string[]): Promise<string> {
  const folder = await temporaryFolder(t);
  for (const name of ["spiped", "spipe"]) {
    await writeFile(join(folder, name), `#!/bin/sh\nprintf '%s ' $$ ${name} "$@"\n`, { mode: 0o755 });
  }
  const env = { PATH: `${folder}:/usr/bin:/bin` };
  const command = Command.start(t, [join(contrib, "docker/entrypoint"), ...args], { stdin: "ignore", env });
  assert.deepEqual(await command.exit(), { status: 0, signal: null });
  const [id, ...rest] = command.stdout.toString().trimEnd().split(" ");
  assert.equal(Number(id), command.id, "no shell stays in between");
  return rest.join(" ");
}

test("the image adds its flags to arguments for spiped, and runs other commands unchanged", async (t) => {
  assert.equal(await entryPoint(t, "-d", "-s", "x y"), "spiped -k /spiped/key -F -d -s x y");
  assert.equal(await entryPoint(t), "spiped -k /spiped/key -F");
  assert.equal(await entryPoint(t, "spiped", "keygen", "file"), "spiped keygen file");
  assert.equal(await entryPoint(t, "spipe", "-t", "far.example:2562"), "spipe -t far.example:2562");
});

test(".dockerignore admits every file that the Dockerfile copies from the checkout", async () => {
  const text = await readFile(join(contrib, "docker/Dockerfile"), "utf8");
  const ignore = await readFile(join(contrib, "docker/Dockerfile.dockerignore"), "utf8");
  const [first, ...others] = ignore.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  assert.equal(first, "*");
  const letIn = (file: string) => others.some((line) => matchesGlob(line.slice(1), file));
  for (const [, files = ""] of text.matchAll(/^COPY (?!.*--from)(?:--\S+ )*(.+) \S+$/gm)) {
    for (const file of files.split(" ")) {
      if (file !== ".") assert.ok(letIn(file), file);
    }
  }
  // The inputs of npm run build, from the list of tracked files.
  for (const file of ["Cargo.lock", "crates", "scripts", "src", "test", "tsconfig.base.json"])
    assert.ok(letIn(file), file);
});

function matchesGlob(pattern: string, file: string): boolean {
  return new RegExp(`^${pattern.replaceAll(".", "\\.").replaceAll("*", ".*")}(/|$)`).test(file);
}

interface Probe {
  readonly exec?: { readonly command: readonly [string, ...string[]] };
  readonly httpGet?: { readonly host?: string; readonly port: number; readonly path: string };
}

interface ContainerSpec {
  readonly name: string;
  readonly args?: readonly string[];
  readonly ports?: ReadonlyArray<{ readonly name: string; readonly containerPort: number }>;
  readonly securityContext?: {
    readonly allowPrivilegeEscalation?: boolean;
    readonly readOnlyRootFilesystem?: boolean;
    readonly capabilities?: unknown;
  };
  readonly startupProbe?: Probe;
  readonly readinessProbe?: Probe;
  readonly livenessProbe?: Probe;
}

interface PodSpec {
  readonly securityContext: unknown;
  readonly initContainers?: readonly ContainerSpec[];
  readonly containers: readonly ContainerSpec[];
}

/** Declares a test of the pod in a manifest, which Python parses; without Python the test is skipped. */
function testPod(manifest: string, name: string, run: (t: TestContext, pod: PodSpec) => Promise<void> | void): void {
  test(`kubernetes/${manifest}.yaml: ${name}`, limits, async (t) => {
    const python = commandOnPath("python3");
    if (python === undefined) return t.skip("missing: python3");
    const program = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))";
    const file = join(contrib, `kubernetes/${manifest}.yaml`);
    const { status, stdout, stderr } = await Command.run(t, [python, "-c", program, file]);
    if (stderr.includes("No module named 'yaml'")) return t.skip("missing: Python's yaml");
    assert.equal(status, 0, stderr);
    await run(
      t,
      (JSON.parse(stdout) as { readonly spec: { readonly template: { readonly spec: PodSpec } } }).spec.template.spec,
    );
  });
}

function spipedOf({ initContainers = [], containers }: PodSpec): ContainerSpec {
  return (
    [...initContainers, ...containers].find(({ name }) => name === "spiped") ?? assert.fail("no container named spiped")
  );
}

for (const manifest of ["side-car", "daemon-set"]) {
  testPod(manifest, "no container needs privileges", (_t, pod) => {
    assert.deepEqual(pod.securityContext, {
      runAsNonRoot: true,
      runAsUser: 1000,
      runAsGroup: 1000,
      fsGroup: 1000,
      seccompProfile: { type: "RuntimeDefault" },
    });
    for (const { name, securityContext } of [...(pod.initContainers ?? []), ...pod.containers]) {
      assert.equal(securityContext?.allowPrivilegeEscalation, false, name);
      assert.deepEqual(securityContext?.capabilities, { drop: ["ALL"] }, name);
    }
    assert.equal(spipedOf(pod).securityContext?.readOnlyRootFilesystem, true);
  });

  testPod(manifest, "spiped accepts the flags, and answers the probes", async (t, pod) => {
    const { args = [], startupProbe, readinessProbe, livenessProbe } = spipedOf(pod);
    const [where = ""] = args.slice(args.indexOf("--status") + 1);
    const asked = [startupProbe, readinessProbe, livenessProbe].filter((probe) => probe !== undefined).map(urlOf);
    const at = `http://${where.replace(/[[\]]/g, "")}`;
    // A restart does not help at the connection limit.
    assert.deepEqual(asked, [`${at}/healthz`, `${at}/metrics`]);
    // The key is read after all flags are valid.
    const here = args.map((word) => word.replace(/^[a-z.]+\.example:/, "[127.0.0.1]:"));
    const command = [...ours.spiped, "-k", "/nowhere/key", "-F", ...here] as const;
    const { status, stderr } = await Command.run(t, command, { stdin: "ignore" });
    assert.equal(status, 1);
    assert.match(stderr, /^spiped: cannot read key file \/nowhere\/key: there is no such file$/m);
  });
}

/** The request of a probe. */
function urlOf({ exec, httpGet }: Probe): string {
  if (httpGet !== undefined) return `http://${httpGet.host}:${httpGet.port}${httpGet.path}`;
  return /fetch\("([^"]*)"\)/.exec(exec?.command.join(" ") ?? "")?.[1] ?? assert.fail("no fetch in the probe");
}

testPod("side-car", "the probes report whether spiped accepts, not the state of the remote end", async (t, pod) => {
  const { startupProbe, livenessProbe } = spipedOf(pod);
  const probe = async ({ exec }: Probe, { port }: { readonly port: number }) => {
    const [node, ...args] = exec?.command ?? assert.fail("there is no command");
    assert.equal(node, "node");
    const here = args.map((word) => word.replace(":9100", `:${port}`));
    return (await Command.run(t, [process.execPath, ...here], { stdin: "ignore" })).status;
  };
  const [nobody, status] = [await freeAddress(t, "tcp"), await freeAddress(t, "tcp")];
  assert.ok(
    nobody.kind === "tcp" && status.kind === "tcp" && startupProbe !== undefined && livenessProbe !== undefined,
  );
  assert.equal(await probe(startupProbe, nobody), 1);
  const key = await newKey(t);
  await startSpiped(t, { end: "-e", source: "tcp", target: nobody, key, flags: ["--status", textOf(status)] });
  assert.deepEqual([await probe(startupProbe, status), await probe(livenessProbe, status)], [0, 0]);
});
