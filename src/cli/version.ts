/**
 * The version, from package.json.
 */

import { createRequire } from "node:module";

const manifest = createRequire(import.meta.filename)("../../package.json") as { readonly version: string };

/** The version of this package. */
export const version = manifest.version;
