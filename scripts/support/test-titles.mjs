// The titles of all tests, as written in the sources.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/**
 * Reads the titles of the tests below `folder`, without running them.
 *
 * @returns For each title, the files that have it, relative to `root`. Inserted parts of a template literal become `…`:
 * `` `spiped ${flag} starts` `` is `spiped … starts`. Titles in variables are not found.
 */
export function testTitles(root, folder) {
  const titles = new Map();
  const files = readdirSync(join(root, folder), { recursive: true })
    .map((file) => `${folder}/${file.replaceAll("\\", "/")}`)
    .filter((file) => file.endsWith(".test.ts"))
    .sort();
  for (const file of files) {
    for (const title of titlesOf(readFileSync(join(root, file), "utf8"))) {
      titles.set(title, [...new Set([...(titles.get(title) ?? []), file])]);
    }
  }
  return titles;
}

/** The first string in the arguments of each call of `test`, `t.test`, `testWith` and the like. */
function titlesOf(source) {
  const titles = [];
  for (const { 0: call, index } of source.matchAll(/\btest\w*\((?:[\w".[\] ]+, )*\s*(?=["`])/g)) {
    const start = index + call.length;
    const title = source[start] === "`" ? templateAt(source, start) : stringAt(source, start);
    if (title !== undefined) titles.push(title);
  }
  return titles;
}

function stringAt(source, start) {
  const [literal] = /^"(?:[^"\\\n]|\\.)*"/.exec(source.slice(start)) ?? [];
  return literal === undefined ? undefined : JSON.parse(literal);
}

/** A template literal, with `…` for each `${}`, which may contain braces and further templates. */
function templateAt(source, start) {
  let title = "";
  for (let at = start + 1; at < source.length; at += 1) {
    if (source[at] === "`") return title;
    if (source[at] === "\\") {
      at += 1;
      title += source[at];
    } else if (source.startsWith("${", at)) {
      title += "…";
      let depth = 1;
      for (at += 2; depth > 0 && at < source.length; at += 1) {
        if (source[at] === "{") depth += 1;
        if (source[at] === "}") depth -= 1;
      }
      at -= 1;
    } else {
      title += source[at];
    }
  }
  return undefined;
}
