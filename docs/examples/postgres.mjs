// A PostgreSQL client behind `spiped -d`, with the driver pg (npm install pg).
//
//     node postgres.mjs TARGET KEYFILE
import pg from "pg";
import { connect, readKeyFile } from "spiped";

const [target, keyFile] = process.argv.slice(2);
const key = await readKeyFile(keyFile);
const pool = new pg.Pool({ user: "app", database: "app", stream: () => connect({ target, key }) });
const { rows } = await pool.query("SELECT 6 * $1::int AS answer", [7]);
console.log(rows[0].answer);
await pool.end();
