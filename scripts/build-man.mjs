// Generates the man pages man/spiped.1 and man/spipe.1 from docs/man/*.md. With --check it only reports whether they are up
// to date. Needs dist/ for the table of flags. An item under OPTIONS replaces the table's help for that flag; {{usage}} is
// the usage line.
//
// Supports a subset of Markdown: # name(section), date; ## sections, paragraphs, fenced blocks, `code`, **bold**, _italic_,
// and lists whose items are "term: text".

import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { flagsOf, placeholderOf } from "../dist/flags/flags.js";
import { usageParts } from "../dist/flags/usage.js";

/** The width of a line of the synopsis. */
const USAGE_COLUMNS = 72;

process.chdir(fileURLToPath(new URL("..", import.meta.url)));
const { version } = JSON.parse(readFileSync("package.json", "utf8"));

mkdirSync("man", { recursive: true });
let stale = false;
for (const file of readdirSync("docs/man")) {
  const target = `man/${file.replace(/\.md$/, "")}`;
  const command = file.replace(/\.\d\.md$/, "");
  const header = `.\\" Generated from docs/man/${file} by scripts/build-man.mjs. Do not edit.\n`;
  const page = header + manPage(withFlags(readFileSync(`docs/man/${file}`, "utf8"), command));
  if (existsSync(target) && readFileSync(target, "utf8") === page) continue;
  stale = true;
  if (process.argv.includes("--check")) console.error(`${target} is out of date; run npm run build:docs`);
  else writeFileSync(target, page);
}
if (stale && process.argv.includes("--check")) process.exit(1);

/** Fills in the usage and the flags of the table. */
function withFlags(markdown, command) {
  const [, before, options, after] = /^([\s\S]*\n## OPTIONS\n)([\s\S]*?)(\n## [\s\S]*)$/.exec(markdown);
  return `${before.replace("{{usage}}", usage(command))}${optionList(options, command)}${after}`;
}

function usage(command) {
  return usageParts(command)
    .map((parts) => broken(command, parts))
    .join("\n");
}

function broken(command, parts) {
  const lines = [command];
  for (const part of parts) {
    const longer = `${lines.at(-1)} ${part}`;
    if (longer.length <= USAGE_COLUMNS) lines.splice(-1, 1, longer);
    else lines.push(`${" ".repeat(command.length)} ${part}`);
  }
  return lines.join("\n");
}

/** Every flag of the table, with the text of the page if it has one. */
function optionList(section, command) {
  const [introduction, ...items] = section.split(/^- /m);
  const texts = new Map(items.map((item) => /^(.*?`--\S+`): ([\s\S]*)$/.exec(item).slice(1)));
  const list = flagsOf(command).map((flag) => {
    const { long, short, help, helpFor } = flag;
    const placeholder = placeholderOf(flag);
    const value = placeholder === undefined ? "" : ` _${placeholder}_`;
    const names = [...(short === undefined ? [] : [`\`-${short}\``]), `\`--${long}\``];
    const line = helpFor?.[command] ?? help;
    const text = texts.get(names.join(", ")) ?? `${line.charAt(0).toUpperCase()}${line.slice(1)}.\n`;
    texts.delete(names.join(", "));
    return `- ${names.map((name) => `${name}${value}`).join(", ")}: ${text}`;
  });
  const [unknown] = texts.keys();
  if (unknown !== undefined) throw new Error(`${command} has no flag written ${unknown}`);
  return `${introduction}${list.join("")}`;
}

function manPage(markdown) {
  const lines = [];
  for (const block of blocksOf(markdown)) {
    const made = roff(block);
    const isFirst = lines.at(-1)?.startsWith(".SH");
    lines.push(...(isFirst && made[0] === ".PP" ? made.slice(1) : made));
  }
  return `${lines.join("\n")}\n`;
}

/** Paragraphs, fenced blocks and lists, each as its lines. */
function blocksOf(markdown) {
  return markdown.match(/```[\s\S]*?```|[^\n]+(\n(?!\n|```)[^\n]+)*/g) ?? [];
}

function roff(block) {
  const title = block.match(/^# (\S+)\((\d)\), (\S+)$/);
  if (title) return [`.TH ${title[1].toUpperCase()} ${title[2]} ${title[3]} "spiped ${version}" "User Commands"`];
  if (block.startsWith("## ")) return [`.SH ${block.slice(3)}`];
  if (block.startsWith("```")) {
    return [
      ".PP",
      ".nf",
      ...block
        .split("\n")
        .slice(1, -1)
        .map((line) => escaped(line)),
      ".fi",
    ];
  }
  if (!block.startsWith("- ")) return [".PP", ...sentences(block)];
  return block.split(/^- /m).slice(1).flatMap(listItem);
}

function listItem(item) {
  const text = item.replace(/\s+/g, " ").trim();
  const [, term, description] = text.match(/^(.*?[^[\]\s]): (.*)$/) ?? [];
  if (term === undefined) throw new Error(`an item is "term: text", and this is not: ${text}`);
  return [".TP", inline(term), ...sentences(description)];
}

/** Each sentence on its own line, as man pages have it. */
function sentences(text) {
  return inline(text.replace(/\s+/g, " "))
    .replace(/([.!?]) (?=[A-Z\\])/g, "$1\n")
    .split("\n")
    .map(protect);
}

function inline(text) {
  return text
    .split(/(`[^`]+`|\*\*[^*]+\*\*|(?<![A-Za-z0-9])_[^_]+_)/)
    .map((part) => {
      if (/^`.+`$/.test(part)) return `\\fB${escaped(part.slice(1, -1))}\\fR`;
      if (part.startsWith("**")) return `\\fB${escaped(part.slice(2, -2))}\\fR`;
      if (/^_.+_$/.test(part)) return `\\fI${escaped(part.slice(1, -1))}\\fR`;
      return escaped(part);
    })
    .join("");
}

function escaped(text) {
  return protect(text.replaceAll("\\", "\\e").replaceAll("-", "\\-").replaceAll("~", "\\(ti").replaceAll("'", "\\(aq"));
}

/** Keeps a line from being taken for a request. */
function protect(line) {
  return /^[.']/.test(line) ? `\\&${line}` : line;
}
