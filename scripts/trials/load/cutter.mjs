// A link that is cut after a number of bytes, by a reset or by a FIN in both directions.

import { connect, createServer } from "node:net";

/** Forwards everything between two ends, until its plan: `{ how: "reset" | "end", direction, at }`. */
export class Cutter {
  #server;
  plan = undefined;

  static async listen(port, target) {
    const cutter = new Cutter();
    cutter.#server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => cutter.#join(near, target));
    await new Promise((resolve) => cutter.#server.listen(port, "127.0.0.1", resolve));
    return cutter;
  }

  #join(near, target) {
    const { plan } = this;
    const far = connect({ port: target, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
    let isCut = false;
    const cut = () => {
      isCut = true;
      for (const socket of [near, far]) {
        if (plan.how === "reset") socket.resetAndDestroy();
        else socket.end();
        // Discard the rest.
        socket.resume();
      }
    };
    const join = (from, to, direction) => {
      let left = plan?.direction === direction ? plan.at : Number.POSITIVE_INFINITY;
      from.on("data", (data) => {
        if (isCut) return;
        const whole = data.length <= left;
        const some = whole ? data : data.subarray(0, left);
        left -= some.length;
        if (some.length > 0) to.write(some, () => left === 0 && !isCut && cut());
      });
      from.on("end", () => {
        if (!isCut) to.end();
      });
      from.on("error", () => {
        if (!isCut) to.resetAndDestroy();
      });
      if (left === 0) from.once(from === far ? "connect" : "data", () => cut());
    };
    join(near, far, "forward");
    join(far, near, "reverse");
  }

  close() {
    return new Promise((resolve) => {
      this.#server.close(resolve);
    });
  }
}
