// The size of a program's own objects in a heap snapshot, without V8's compiled code and bookkeeping.

import { readdirSync, readFileSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";

/** Compiled code and its feedback grow with every optimization and deoptimization, however little a program keeps. */
const OF_V8 = ["code", "hidden"];

/**
 * Adds up the heap snapshot that a probe has written.
 *
 * @param prefix The path of the snapshot up to its time.
 * @param isKept Whether the snapshot stays.
 * @returns Bytes of all objects, strings, closures, arrays and native memory that JavaScript reaches.
 */
export function objectBytesOf(prefix, isKept) {
  const files = readdirSync(dirname(prefix)).filter(
    (file) => file.startsWith(`${basename(prefix)}.`) && file.endsWith(".heapsnapshot"),
  );
  const newest = join(dirname(prefix), files.sort().at(-1));
  const { snapshot, nodes } = JSON.parse(readFileSync(newest, "utf8"));
  if (!isKept) rmSync(newest);
  const { node_fields: fields, node_types: types } = snapshot.meta;
  const [type, size] = [fields.indexOf("type"), fields.indexOf("self_size")];
  let bytes = 0;
  for (let at = 0; at < nodes.length; at += fields.length) {
    if (!OF_V8.includes(types[type][nodes[at + type]])) bytes += nodes[at + size];
  }
  return bytes;
}
