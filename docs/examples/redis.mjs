// A redis client behind `spiped -d`, in its protocol's plain words; any driver that takes a stream works the same way.
//
//     node redis.mjs TARGET KEYFILE
import { connect, readKeyFile } from "spiped";

const [target, keyFile] = process.argv.slice(2);
const redis = connect({ target, key: await readKeyFile(keyFile) });
redis.setEncoding("utf8");
redis.end("SET colour green\r\nGET colour\r\nQUIT\r\n");
let replies = "";
for await (const piece of redis) replies += piece;
console.log(replies.trim().split("\r\n").join(" | "));
