// The documentation pages, split into sections with their blocks of shell commands.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../support/programs.js";

/** Where a block's commands run: on the client's machine, or on the service's. */
export type Machine = "near" | "far";

/** A fenced block that begins with ```sh. */
export interface Block {
  /** Undefined if nothing follows ```sh. */
  readonly machine: Machine | undefined;
  readonly commands: string;
  /** The expected output of the commands: the ```text block right after it. */
  readonly prints: string | undefined;
}

/** The text below one heading. */
export interface Section {
  /** `docs/recipes.md: Redis`. */
  readonly name: string;
  readonly blocks: readonly Block[];
}

/** All pages, by their path relative to the root. */
export const pages: readonly string[] = [
  "README.md",
  ...readdirSync(join(root, "docs"), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".md"))
    .map((file) => `docs/${file}`)
    .sort(),
];

export function readPage(page: string): string {
  return readFileSync(join(root, page), "utf8");
}

/** The sections of a page that have blocks of shell commands. */
export function sectionsOf(page: string): readonly Section[] {
  return readPage(page)
    .split(/^(?=#{1,3} .+$)/m)
    .map((text): Section => {
      const [heading = ""] = text.split("\n", 1);
      const blocks = [...text.matchAll(/^```sh(?: (near|far))?\n([\s\S]*?)^```\n(?:\n```text\n([\s\S]*?)^```\n)?/gm)];
      return {
        name: `${page}: ${heading.replace(/^#+ /, "")}`,
        blocks: blocks.map(([, machine, commands = "", prints]) => ({
          machine: machine === "near" || machine === "far" ? machine : undefined,
          commands,
          prints,
        })),
      };
    })
    .filter(({ blocks }) => blocks.length > 0);
}
