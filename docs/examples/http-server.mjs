// An HTTP service with built-in encryption. Reach it through `spiped -e` or with the agent in http.mjs.
//
//     node http-server.mjs SOURCE KEYFILE
import http from "node:http";
import { createServer, readKeyFile } from "spiped";

const [source, keyFile] = process.argv.slice(2);
const web = http.createServer((request, response) => {
  response.end(`${request.url} for ${request.socket.remoteAddress}`);
});
const server = createServer({ key: await readKeyFile(keyFile), maxConnections: 1_000 }, (stream) => {
  web.emit("connection", stream);
});
await server.listen(source);
console.log(`listening on ${server.address}`);
process.once("SIGTERM", () => {
  void server.close();
  web.closeIdleConnections();
});
