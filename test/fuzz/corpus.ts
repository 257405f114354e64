// The corpus of a target: a list of inputs, as text if they are valid UTF-8, otherwise in base64.

import { isUtf8 } from "node:buffer";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../unit/support/paths.js";

type Written = string | { readonly base64: string };

/** The path of the file. */
export function corpusPath(target: string): string {
  return join(root, "test/fuzz/corpus", `${target}.json`);
}

/** All inputs of a file; none if it does not exist. */
export function readCorpus(path: string): readonly Uint8Array[] {
  if (!existsSync(path)) return [];
  const all = JSON.parse(readFileSync(path, "utf8")) as readonly Written[];
  return all.map((one) => (typeof one === "string" ? Buffer.from(one) : Buffer.from(one.base64, "base64")));
}

/** The text of a file with these inputs. */
export function corpusText(inputs: readonly Uint8Array[]): string {
  const written: readonly Written[] = inputs.map((input) => {
    const bytes = Buffer.from(input);
    return isUtf8(bytes) ? bytes.toString() : { base64: bytes.toString("base64") };
  });
  return `${JSON.stringify(written, undefined, 2)}\n`;
}
