// Asks an HTTP service behind `spiped -d`.
//
//     node http.mjs TARGET KEYFILE
import http from "node:http";
import { connect, readKeyFile } from "spiped";

const [target, keyFile] = process.argv.slice(2);
const key = await readKeyFile(keyFile);
const agent = new http.Agent();
agent.createConnection = () => connect({ target, key });

const response = await new Promise((resolve, reject) => {
  http.get({ host: "service.internal", path: "/health", agent }, resolve).on("error", reject);
});
console.log(response.statusCode, (await response.toArray()).join(""));
