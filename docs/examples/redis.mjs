// A redis client behind `spiped -d`, with the driver ioredis (npm install ioredis).
//
//     node redis.mjs TARGET KEYFILE
import { Redis } from "ioredis";
import { connect, readKeyFile } from "spiped";

const [target, keyFile] = process.argv.slice(2);
const key = await readKeyFile(keyFile);

/** Tells ioredis how to connect. It calls `connect` again after each broken connection. */
class Connector {
  check() {
    return true;
  }
  async connect() {
    this.stream = connect({ target, key });
    return this.stream;
  }
  disconnect() {
    this.stream?.end();
  }
}

const redis = new Redis({ Connector });
await redis.set("color", "green");
console.log(await redis.get("color"));
await redis.quit();
