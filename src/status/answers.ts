/**
 * Maps an HTTP request to its response, without a socket.
 */

import type { OutgoingHttpHeaders } from "node:http";
import { EXPOSITION_TYPE } from "./exposition.js";
import { healthOf } from "./health.js";
import { isExpectedHost } from "./hosts.js";
import { metricsOf } from "./metrics.js";
import type { Page } from "./page.js";
import type { StatusSource } from "./snapshot.js";
import { statusJsonOf } from "./status-json.js";
import type { TextCache } from "./text-cache.js";

/** How many connections of each tunnel `/status` lists. */
export const CONNECTIONS_LISTED = 20;

/** The parts of a request that matter. */
export interface Question {
  readonly method: string | undefined;
  readonly url: string | undefined;
  /** The values of all `Host` headers. */
  readonly hosts: readonly string[] | undefined;
}

/** A response. */
export interface Answer {
  readonly status: 200 | 400 | 404 | 405 | 421 | 503;
  readonly headers: OutgoingHttpHeaders;
  readonly body: string;
}

/** What responses are made from. */
export interface Answering {
  readonly source: StatusSource;
  readonly page: Page;
  readonly texts: TextCache;
  /** Whether to reject unexpected `Host` headers, against DNS rebinding. */
  readonly checksHost: boolean;
}

/** No caching, no content sniffing, no framing. */
const COMMON: OutgoingHttpHeaders = {
  "Cache-Control": "no-store",
  "X-Content-Type-Options": "nosniff",
  "X-Frame-Options": "DENY",
  "Referrer-Policy": "no-referrer",
  "Cross-Origin-Resource-Policy": "same-origin",
  // One request per connection, because it is connections that are rate-limited.
  Connection: "close",
};

const NOTHING_ELSE = "default-src 'none'; frame-ancestors 'none'";

/** Answers one request. */
export function answerTo(question: Question, { source, page, texts, checksHost }: Answering): Answer {
  const { method, url = "", hosts = [] } = question;
  if (hosts.length > 1) return plain(400, "one Host at most\n");
  const { authority = hosts[0], target } = partsOf(url);
  if (checksHost && !isExpectedHost(authority)) return plain(421, "ask by address, or as localhost\n");
  if (method !== "GET" && method !== "HEAD") return plain(405, "only GET and HEAD\n", { Allow: "GET, HEAD" });
  const [path] = target.split("?", 1);
  switch (path) {
    case "/metrics":
      return answer(
        200,
        texts.text(path, () => metricsOf(source.snapshot(0))),
        { "Content-Type": EXPOSITION_TYPE },
      );
    case "/healthz": {
      const { isWell, word } = healthOf(source.states());
      return plain(isWell ? 200 : 503, `${word}\n`);
    }
    case "/status":
      return answer(
        200,
        texts.text(path, () => statusJsonOf(source.snapshot(CONNECTIONS_LISTED))),
        { "Content-Type": "application/json" },
      );
    case "/":
      return answer(200, page.html, {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": page.contentSecurityPolicy,
      });
    default:
      return plain(404, "there are /, /status, /metrics and /healthz\n");
  }
}

/** Splits an absolute-form target, whose host overrides the `Host` header. Source: RFC 9112, section 3.2.2. */
function partsOf(url: string): { readonly authority?: string; readonly target: string } {
  const [, authority, rest = ""] = /^http:\/\/([^/?#]*)([^#]*)$/i.exec(url) ?? [];
  if (authority === undefined) return { target: url };
  return { authority, target: rest.startsWith("/") ? rest : `/${rest}` };
}

function plain(status: Answer["status"], body: string, headers: OutgoingHttpHeaders = {}): Answer {
  return answer(status, body, { "Content-Type": "text/plain; charset=utf-8", ...headers });
}

function answer(status: Answer["status"], body: string, headers: OutgoingHttpHeaders): Answer {
  const length = Buffer.byteLength(body);
  return {
    status,
    headers: { ...COMMON, "Content-Security-Policy": NOTHING_ELSE, "Content-Length": length, ...headers },
    body,
  };
}
