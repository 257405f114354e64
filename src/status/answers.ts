/**
 * What is asked over HTTP → what is answered, without a socket.
 */

import type { OutgoingHttpHeaders } from "node:http";
import { EXPOSITION_TYPE } from "./exposition.js";
import { healthOf } from "./health.js";
import { isExpectedHost } from "./hosts.js";
import type { KeptTexts } from "./kept-texts.js";
import { metricsOf } from "./metrics.js";
import type { Page } from "./page.js";
import type { StatusSource } from "./snapshot.js";
import { statusJsonOf } from "./status-json.js";

/** Connections of each tunnel that `/status` lists. */
export const CONNECTIONS_LISTED = 20;

/** What of a request matters. */
export interface Question {
  readonly method: string | undefined;
  readonly url: string | undefined;
  /** All headers of this name. */
  readonly hosts: readonly string[] | undefined;
}

/** What is sent back. */
export interface Answer {
  readonly status: 200 | 400 | 404 | 405 | 421 | 503;
  readonly headers: OutgoingHttpHeaders;
  readonly body: string;
}

/** What answers are made from. */
export interface Answering {
  readonly source: StatusSource;
  readonly page: Page;
  readonly texts: KeptTexts;
  /** Whether browsers could be led here under a name of somebody else's. */
  readonly checksHost: boolean;
}

/** Nothing of it is kept, taken for something else, or shown in a frame. */
const COMMON: OutgoingHttpHeaders = {
  "Cache-Control": "no-store",
  "X-Content-Type-Options": "nosniff",
  "X-Frame-Options": "DENY",
  "Referrer-Policy": "no-referrer",
  "Cross-Origin-Resource-Policy": "same-origin",
  // One question a connection: who wants to ask a thousand has to connect as often, which is limited.
  Connection: "close",
};

const NOTHING_ELSE = "default-src 'none'; frame-ancestors 'none'";

/** See the head of this file. */
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

/** What is asked for as a proxy is asked: the whole URL, whose host counts then. Source: RFC 9112, section 3.2.2. */
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
