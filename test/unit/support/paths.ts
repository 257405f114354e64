// Where the tests find the checkout that they belong to.

import { fileURLToPath } from "node:url";

/** The root of the checkout; this file runs as build/test/unit/support/paths.js. */
export const root = fileURLToPath(new URL("../../../../", import.meta.url));
