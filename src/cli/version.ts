/**
 * The version, from the one place where it is written.
 */

import { createRequire } from "node:module";

const manifest = createRequire(import.meta.filename)("../../package.json") as { readonly version: string };

/** This package's version. */
export const version = manifest.version;
