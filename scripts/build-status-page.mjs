// Builds the status page from src/status/page: one file, dist/commands/status-page.html, with script and style inline, since
// the page must load nothing.

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { transform } from "esbuild";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));

const [style, script] = await Promise.all(
  ["css", "ts"].map(async (loader) => {
    const text = readFileSync(`src/status/page/page.${loader}`, "utf8");
    const { code } = await transform(text, { loader, minify: true, target: "es2022" });
    if (/<\/(script|style)/i.test(code)) throw new Error(`page.${loader} contains a closing tag`);
    return code.trim();
  }),
);
let page = readFileSync("src/status/page/page.html", "utf8");
for (const [element, code] of [
  ["style", style],
  ["script", script],
]) {
  const empty = `<${element}></${element}>`;
  if (page.split(empty).length !== 2) throw new Error(`page.html must contain ${empty} once`);
  page = page.replace(empty, () => `<${element}>${code}</${element}>`);
}
mkdirSync("dist/commands", { recursive: true });
writeFileSync("dist/commands/status-page.html", page);
