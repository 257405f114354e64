// Ships metrics to a carbon receiver behind `spiped -d`; no local daemon needed.
//
//     node graphite.mjs TARGET KEYFILE
import { once } from "node:events";
import { connect, readKeyFile } from "spiped";

const [target, keyFile] = process.argv.slice(2);
const carbon = connect({ target, key: await readKeyFile(keyFile) });
await once(carbon, "connect");
for (let minute = 0; minute < 60; minute += 1) {
  const line = `servers.web1.load ${Math.sin(minute)} ${1_700_000_000 + 60 * minute}\n`;
  if (!carbon.write(line)) await once(carbon, "drain");
}
carbon.end();
await once(carbon.resume(), "close");
console.log(`${carbon.report?.bytesForward} bytes, ${carbon.report?.reason}`);
