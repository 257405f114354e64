/**
 * Loads the status page: one HTML file with inline script and style, and a content security policy that allows exactly these,
 * by their hashes, and loads nothing else.
 */

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** The page and its policy. */
export interface Page {
  readonly html: string;
  readonly contentSecurityPolicy: string;
}

/** Reads the page, which scripts/build-status-page.mjs assembles. */
export function loadPage(): Page {
  return pageOf(readFileSync(join(import.meta.dirname, "../commands/status-page.html"), "utf8"));
}

/** Computes the policy of a page. */
export function pageOf(html: string): Page {
  const policy = [
    "default-src 'none'",
    `script-src ${hashOf(html, "script")}`,
    `style-src ${hashOf(html, "style")}`,
    "img-src data:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
  ];
  return { html, contentSecurityPolicy: policy.join("; ") };
}

function hashOf(html: string, element: "script" | "style"): string {
  const text = new RegExp(`<${element}>([\\s\\S]*?)</${element}>`).exec(html)?.[1];
  if (text === undefined) return "'none'";
  return `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
}
