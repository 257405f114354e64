// Requests a status page as a Node client, one connection per request.

import { request } from "node:http";
import { type Address, socketOptionsOf } from "./addresses.js";
import { until } from "./cleanup.js";

/** The response. */
export interface Reply {
  readonly status: number | undefined;
  readonly body: string;
  readonly headers: NodeJS.Dict<string | string[]>;
}

/** Request options besides the path. */
export interface Asking {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export function get(address: Address, path: string, asking: Asking = {}): Promise<Reply> {
  const where = address.kind === "unix" ? { socketPath: address.path } : socketOptionsOf(address);
  return new Promise((resolve, reject) => {
    request({ ...where, path, agent: false, ...asking }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        body += chunk;
      });
      response.on("error", reject);
      response.on("end", () => resolve({ status: response.statusCode, body, headers: response.headers }));
    })
      .on("error", reject)
      .end();
  });
}

/** Requests repeatedly until the response is as wanted. */
export function until200(address: Address, path: string, isWanted: (body: string) => boolean): Promise<string> {
  return until(async () => {
    const { status, body } = await get(address, path);
    return status === 200 && isWanted(body) ? body : undefined;
  }, `the wanted answer to ${path}`);
}
