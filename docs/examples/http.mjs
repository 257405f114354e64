// Queries an HTTP service behind `spiped -d`, twice over one connection.
//
//     node http.mjs TARGET KEYFILE
import http from "node:http";
import { connect, readKeyFile } from "spiped";

const [target, keyFile] = process.argv.slice(2);
const key = await readKeyFile(keyFile);
const agent = new http.Agent({ keepAlive: true });
agent.createConnection = () => connect({ target, key });

for (const path of ["/health", "/version"]) {
  const response = await new Promise((resolve, reject) => {
    http.get({ host: "service.internal", path, agent, timeout: 10_000 }, resolve).on("error", reject);
  });
  console.log(response.statusCode, (await response.toArray()).join(""));
}
agent.destroy();
