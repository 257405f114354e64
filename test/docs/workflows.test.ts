// What runs the workflows, CI and the image name things of this checkout: npm scripts, paths, tests. Nothing else notices here
// if one is renamed: these files run only elsewhere. actionlint, in CI, checks their syntax.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../support/cleanup.js";
import { root } from "../support/programs.js";

const read = (file: string): string => readFileSync(join(root, file), "utf8");
const workflows = readdirSync(join(root, ".github/workflows")).map((file) => `.github/workflows/${file}`);
const dockerfile = read("contrib/docker/Dockerfile");

/** What a shell runs in each file: all of a script; of a workflow, its `run`; of a Dockerfile, its RUN. */
const commands: ReadonlyArray<readonly [file: string, text: string]> = [
  ...workflows.map((file) => [file, runsOf(read(file)).join("\n")] as const),
  ...[".ci/install", ".ci/run"].map((file) => [file, read(file).replaceAll(/^ *#.*$/gm, "")] as const),
  ["contrib/docker/Dockerfile", (dockerfile.match(/^RUN .*$/gm) ?? []).join("\n")],
];

/** The commands of a workflow's steps, each a line, a literal block or a folded one. */
function runsOf(workflow: string): readonly string[] {
  const steps = workflow.matchAll(/^( *)(?:- )?run: (?:[|>]-?\n((?:\1 {2,}.*\n|\n)+)|(.+)\n)/gm);
  return [...steps].map(([, , block, line]) => block ?? line ?? "");
}

test("the workflows, .ci and the Dockerfile have commands", () => {
  for (const [file, text] of commands) assert.match(text, /\b(npm|apt-get) \S/, file);
});

for (const [file, text] of commands) {
  test(`the npm scripts that ${file} runs exist`, () => {
    const { scripts }: { scripts: Record<string, string> } = JSON.parse(read("package.json"));
    const names = [...text.matchAll(/\bnpm (?:run ([\w:-]+)|(test|start))/g)].map(
      ([, run, short]) => run ?? short ?? "",
    );
    assert.deepEqual(
      names.filter((name) => !(name in scripts)),
      [],
    );
  });

  test(`the files of this checkout that ${file} names exist`, () => {
    const paths = text.match(/(?<![\w./$}-])\.?(?:\.ci|\.github|bin|contrib|scripts|test)\/[\w./-]+\w/g) ?? [];
    // Tests are named as compiled, after build/.
    const tests = [...text.matchAll(/\bbuild\/(test\/[\w./-]+)\.js\b/g)].map(([, path]) => `${path}.ts`);
    const missing = [...paths, ...tests].filter((path) => !existsSync(join(root, path)));
    assert.deepEqual(missing, []);
  });

  test(`the tests that ${file} selects exist`, () => {
    const selected = [
      ...[...text.matchAll(/\bscripts\/test\.mjs((?: [a-z/-]+)+)/g)].flatMap(([, names = ""]) =>
        names.trim().split(" "),
      ),
      // The loop in .ci/run: version, shard and files.
      ...[...text.matchAll(/"\d+ \d+ ([a-z/ -]+)"/g)].flatMap(([, names = ""]) => names.split(" ")),
    ].filter((name) => !name.startsWith("-"));
    const missing = selected.filter(
      (name) => !["", ".test.ts"].some((end) => existsSync(join(root, `test/${name}${end}`))),
    );
    assert.deepEqual(missing, []);
  });
}

test("each artifact that a job downloads is uploaded by a job of the same workflow", () => {
  for (const file of workflows) {
    const named = (action: string): readonly string[] =>
      read(file)
        .split(/^ +- (?=uses:)/m)
        .filter((step) => step.startsWith(`uses: actions/${action}-artifact@`))
        .map(
          (step) =>
            /^ +(?:name|pattern): (.+)$/m.exec(step)?.[1]?.replaceAll(/\$\{\{.*?\}\}/g, "*") ?? assert.fail(step),
        );
    const uploaded = named("upload");
    assert.ok(uploaded.length > 0);
    const fits = (pattern: string, name: string) => {
      const [start = "", ...more] = pattern.split("*");
      return more.length === 0 ? pattern === name : name.startsWith(start);
    };
    const lost = named("download").filter((name) => !uploaded.some((one) => fits(one, name) || fits(name, one)));
    assert.deepEqual(lost, [], file);
  }
});

test("a step with a pipe fails if any part of it fails", () => {
  for (const file of workflows) {
    // GitHub sets pipefail only where a step names bash.
    const steps = read(file)
      .split(/^ {6}- /m)
      .filter((step) => /^ {10}.* \| |\brun: .* \| /m.test(step));
    const unsafe = steps.filter((step) => !/^ {8}shell: bash\b/m.test(step));
    assert.deepEqual(unsafe, [], file);
  }
  assert.match(read(".github/workflows/release.yml"), /^ {10}.* \| /m);
});

/** Runs the step of release.yml that looks up the digests of the images' bases, for a Dockerfile, with a docker of our own. */
async function bases(t: test.TestContext, dockerfile: string) {
  const folder = await temporaryFolder(t);
  const step = runsOf(read(".github/workflows/release.yml")).find((text) =>
    text.includes('imagetools inspect "$image"'),
  );
  writeFileSync(join(folder, "Dockerfile"), dockerfile);
  writeFileSync(join(folder, "docker"), '#!/bin/sh\necho "sha256:of-$4"\n', { mode: 0o755 });
  const output = join(folder, "output");
  writeFileSync(output, "");
  const env = {
    PATH: `${folder}:${process.env["PATH"]}`,
    GITHUB_OUTPUT: output,
    GITHUB_STEP_SUMMARY: join(folder, "summary"),
  };
  // As GitHub runs a step.
  const script = (step ?? assert.fail()).replaceAll("contrib/docker/Dockerfile", "Dockerfile");
  const { status, stderr } = spawnSync("bash", ["-e", "-c", script], {
    cwd: folder,
    env,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  });
  return { status, stderr, contexts: /^contexts= ?(.*)\n$/.exec(readFileSync(output, "utf8"))?.[1] };
}

/** The step runs on Linux. */
const skip = process.platform !== "linux" && "macOS has a bash without mapfile";

test("a release pins each base image that the Dockerfile does not pin", { skip }, async (t) => {
  const of = (image: string) => `--build-context ${image}=docker-image://${image}@sha256:of-${image}`;
  const names = [...dockerfile.matchAll(/^FROM ([a-z]+:[^ @\n]+)(?: |$)/gm)].map(([, name = ""]) => name);
  assert.ok(names.length >= 3);
  assert.deepEqual(await bases(t, dockerfile), { status: 0, stderr: "", contexts: names.map(of).join(" ") });
  const some = "FROM node:1@sha256:abc AS node\nFROM scratch AS packages\nFROM $PARTS AS parts\nFROM debian:2\n";
  assert.deepEqual(await bases(t, some), { status: 0, stderr: "", contexts: of("debian:2") });
  assert.deepEqual(await bases(t, "FROM debian:2@sha256:abc\n"), { status: 0, stderr: "", contexts: "" });
});
