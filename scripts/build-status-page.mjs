// Puts the status page together: one file, dist/commands/status-page.html, of what src/status/page has. Its script and its style
// stand in it, since the page loads nothing.

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { transform } from "esbuild";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));

const [style, script] = await Promise.all(
  ["css", "ts"].map(async (loader) => {
    const text = readFileSync(`src/status/page/page.${loader}`, "utf8");
    const { code } = await transform(text, { loader, minify: true, target: "es2022" });
    if (/<\/(script|style)/i.test(code)) throw new Error(`page.${loader} would end its element early`);
    return code.trim();
  }),
);
let page = readFileSync("src/status/page/page.html", "utf8");
for (const [element, code] of [
  ["style", style],
  ["script", script],
]) {
  const empty = `<${element}></${element}>`;
  if (page.split(empty).length !== 2) throw new Error(`page.html needs ${empty} once`);
  page = page.replace(empty, () => `<${element}>${code}</${element}>`);
}
mkdirSync("dist/commands", { recursive: true });
writeFileSync("dist/commands/status-page.html", page);
