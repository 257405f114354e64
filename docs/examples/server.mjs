// The server side: a service with built-in encryption. Clients use `spipe`, `spiped -e` or `connect`.
//
//     node server.mjs SOURCE KEYFILE
import { createServer, readKeyFile } from "spiped";

const [source, keyFile] = process.argv.slice(2);
const server = createServer({ key: await readKeyFile(keyFile) });
server.on("ended", ({ reason, error }) => {
  if (reason !== "closed") console.error(`${reason}: ${error?.message}`);
});
await server.listen(source);
console.log(`listening on ${server.address}`);
process.once("SIGTERM", () => void server.close());
for await (const stream of server) {
  stream.on("error", () => undefined);
  stream.pipe(stream);
}
