// HTTP requests and responses, without sockets.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { type Answer, answerTo, CONNECTIONS_LISTED } from "#dist/status/answers.js";
import { isExpectedHost } from "#dist/status/hosts.js";
import { loadPage, pageOf } from "#dist/status/page.js";
import type { Snapshot } from "#dist/status/snapshot.js";
import { TextCache } from "#dist/status/text-cache.js";
import { readExposition } from "../../support/exposition.js";
import { snapshotOf, tunnelSnapshot } from "../support/snapshots.js";

const page = loadPage();

/** Sends a request, by default for `/` on a loopback address. */
function ask(
  url: string,
  {
    method = "GET",
    hosts = ["127.0.0.1:9100"],
    checksHost = true,
    snapshot = snapshotOf([tunnelSnapshot()]),
  }: {
    readonly method?: string;
    readonly hosts?: readonly string[];
    readonly checksHost?: boolean;
    readonly snapshot?: Snapshot;
  } = {},
): Answer & { readonly asked: readonly number[] } {
  const asked: number[] = [];
  const source = {
    states: () => snapshot,
    snapshot: (mostConnections: number): Snapshot => {
      asked.push(mostConnections);
      return snapshot;
    },
  };
  return { ...answerTo({ method, url, hosts }, { source, page, texts: new TextCache(() => 0), checksHost }), asked };
}

test("each path has its response and content type, with and without a query", () => {
  for (const [url, type] of [
    ["/metrics", "text/plain; version=0.0.4; charset=utf-8"],
    ["/status", "application/json"],
    ["/healthz", "text/plain; charset=utf-8"],
    ["/", "text/html; charset=utf-8"],
  ] as const) {
    for (const whole of [url, `${url}?x=1`]) {
      const { status, headers, body } = ask(whole);
      assert.deepEqual([status, headers["Content-Type"]], [200, type], whole);
      assert.equal(headers["Content-Length"], Buffer.byteLength(body));
    }
  }
  readExposition(ask("/metrics").body);
  assert.equal(JSON.parse(ask("/status").body).tunnels[0].name, "redis");
});

test("only /status lists connections, and only a few", () => {
  assert.deepEqual(ask("/metrics").asked, [0]);
  assert.deepEqual(ask("/healthz").asked, []);
  assert.deepEqual(ask("/status").asked, [CONNECTIONS_LISTED]);
  assert.deepEqual(ask("/").asked, []);
});

test("other paths are 404, and other methods than GET and HEAD are refused", () => {
  for (const url of ["/favicon.ico", "/metrics/", "//", "/../etc/passwd", "*", "", "ftp://127.0.0.1/metrics"]) {
    assert.equal(ask(url).status, 404, url);
  }
  for (const method of ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get", ""]) {
    const { status, headers } = ask("/metrics", { method });
    assert.deepEqual([status, headers["Allow"]], [405, "GET, HEAD"], method);
  }
  assert.equal(ask("/metrics", { method: "HEAD" }).status, 200);
});

test("responses forbid caching, sniffing, framing and reuse of the connection", () => {
  for (const url of ["/", "/metrics", "/status", "/healthz", "/nothing"]) {
    const { headers } = ask(url);
    assert.equal(headers["Cache-Control"], "no-store");
    assert.equal(headers["X-Content-Type-Options"], "nosniff");
    assert.equal(headers["X-Frame-Options"], "DENY");
    assert.equal(headers["Connection"], "close");
    assert.match(String(headers["Content-Security-Policy"]), /^default-src 'none';.*\bframe-ancestors 'none'/);
    assert.equal(headers["Access-Control-Allow-Origin"], undefined);
  }
});

test("health is 503 while a tunnel starts, drains or is full, or without tunnels, and 200 otherwise", () => {
  const health = (...[tunnels, changes]: Parameters<typeof snapshotOf>) => {
    const { status, body } = ask("/healthz", { snapshot: snapshotOf(tunnels, changes) });
    return `${status} ${body}`;
  };
  const well = tunnelSnapshot();
  const full = tunnelSnapshot({ isAccepting: false });
  assert.equal(health([well]), "200 ok\n");
  assert.equal(health([]), "503 not accepting\n");
  assert.equal(health([tunnelSnapshot({ state: "removed", isAccepting: false })]), "503 not accepting\n");
  assert.equal(health([well, full]), "503 not accepting\n");
  assert.equal(health([well, tunnelSnapshot({ state: "starting", isAccepting: false })]), "503 starting\n");
  assert.equal(health([tunnelSnapshot({ state: "draining", isAccepting: false }), well]), "503 draining\n");
  assert.equal(health([well], { isStopping: true }), "503 draining\n");
  assert.equal(health([well, tunnelSnapshot({ state: "removed", isAccepting: false })]), "200 ok\n");
});

test("on a loopback address, foreign host names are refused; addresses and localhost are not", () => {
  for (const host of [
    "127.0.0.1",
    "127.0.0.1:9100",
    "[::1]:9100",
    "[::1]",
    "localhost",
    "LOCALHOST:1",
    "spiped.localhost:80",
    "",
  ]) {
    assert.ok(isExpectedHost(host), host);
  }
  assert.ok(isExpectedHost(undefined));
  for (const host of [
    "attacker.example",
    "attacker.example:9100",
    "127.0.0.1.attacker.example",
    "localhost.attacker.example",
    "notlocalhost",
    "[attacker.example]",
    "127.0.0.1@attacker.example",
    "127.1",
    "::1",
    ":9100",
    "[::1",
    ".",
  ]) {
    assert.equal(isExpectedHost(host), false, host);
  }
  for (const url of ["/", "/metrics", "/status", "/healthz", "/nothing"]) {
    const { status, asked } = ask(url, { hosts: ["attacker.example"] });
    assert.deepEqual([status, asked], [421, []], url);
  }
  assert.equal(ask("/metrics", { hosts: ["web1.example:9100"], checksHost: false }).status, 200);
});

test("the page has one script and one style, which its policy allows, and loads nothing else", () => {
  const { html, contentSecurityPolicy } = page;
  for (const element of ["script", "style"] as const) {
    const [text, ...others] = [...html.matchAll(new RegExp(`<${element}[^>]*>([\\s\\S]*?)</${element}>`, "g"))];
    assert.ok(text !== undefined && others.length === 0 && text[0].startsWith(`<${element}>`), `one ${element}`);
    const hash = createHash("sha256")
      .update(text[1] ?? "")
      .digest("base64");
    assert.ok(contentSecurityPolicy.includes(`${element}-src 'sha256-${hash}';`), element);
  }
  assert.doesNotMatch(contentSecurityPolicy, /unsafe|\*|https?:/);
  assert.match(contentSecurityPolicy, /^default-src 'none';/);
  const markup = html.replace(/<(script|style)>[\s\S]*?<\/\1>/g, "").replace(/<link rel="icon" href="data:[^"]*">/, "");
  assert.doesNotMatch(markup, / (?:on\w+|style|src)=|https?:|<link|<iframe|<img/i);
  const script = /<script>([\s\S]*?)<\/script>/.exec(html)?.[1] ?? "";
  assert.doesNotMatch(script, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function/);
  assert.doesNotMatch(script.replace("http://www.w3.org/2000/svg", ""), /https?:\/\//);
});

test("the policy of a page without script or style allows none", () => {
  assert.match(pageOf("<p>").contentSecurityPolicy, /script-src 'none'; style-src 'none'/);
});

test("an absolute-form target is reduced to its path, and its host is checked", () => {
  for (const [url, status] of [
    ["http://127.0.0.1:9100/metrics", 200],
    ["HTTP://localhost/healthz?x", 200],
    ["http://localhost", 200],
    ["http://localhost?x", 200],
    ["http://attacker.example/metrics", 421],
    ["http:///metrics", 200],
    ["https://localhost/metrics", 404],
    ["http://localhost/nowhere", 404],
  ] as const) {
    assert.equal(ask(url).status, status, url);
  }
});

test("two Host headers are refused", () => {
  assert.equal(ask("/metrics", { hosts: ["localhost", "localhost"] }).status, 400);
  assert.equal(ask("/metrics", { hosts: [] }).status, 200);
});
