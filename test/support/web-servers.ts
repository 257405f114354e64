// nginx and HAProxy with a given configuration, one process each, using only a temporary folder.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { temporaryFolder } from "./cleanup.js";
import { Command } from "./command.js";

/** Starts nginx with these servers. */
export async function startNginx(t: TestContext, program: string, servers: string): Promise<Command> {
  const folder = await temporaryFolder(t);
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  const config = `
    daemon off;
    master_process off;
    pid ${folder}/pid;
    error_log stderr;
    events {}
    http {
      access_log off;
      ${temporary.map((what) => `${what}_temp_path ${folder}/${what};`).join("\n")}
      ${servers}
    }`;
  const file = join(folder, "nginx.conf");
  await writeFile(file, config);
  return Command.start(t, [program, "-p", folder, "-c", file, "-e", "stderr"], { stdin: "ignore" });
}

/** Starts HAProxy with these sections. */
export async function startHaproxy(t: TestContext, program: string, sections: string): Promise<Command> {
  const file = join(await temporaryFolder(t), "haproxy.cfg");
  await writeFile(file, `${sections}\n`);
  return Command.start(t, [program, "-db", "-f", file], { stdin: "ignore" });
}
