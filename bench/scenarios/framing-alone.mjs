// Sealing and opening through the addon on one core: `node bench/scenarios/framing-alone.mjs`. Prints MB/s of data for
// each size of a call. The scenario "framing" runs it as a process of its own.

import { addon } from "../../dist/native/native.js";

const SIZES = [1, 1_024, 8_192, 65_536];
/** Sealed data per pass: small enough for the cache. */
const PASS_BYTES = 1_000_000;
const SECONDS = 0.15;

const encryptionKey = new Uint8Array(32).fill(1);
const macKey = new Uint8Array(32).fill(2);

const result = {};
for (const size of SIZES) {
  const plaintext = new Uint8Array(size).map((_, i) => i * 31);
  const sealed = new Uint8Array(addon.sealedLength(size));
  const calls = Math.ceil(PASS_BYTES / sealed.length);
  const opened = new Uint8Array(addon.maxOpenedLength(sealed.length));

  const packets = [];
  const first = addon.Sealer.fromKeys(encryptionKey, macKey, 0n);
  for (let call = 0; call < calls; call += 1) {
    first.seal(plaintext, sealed);
    packets.push(sealed.slice());
  }
  const openAll = () => {
    // A packet number opens only once, so each pass has its own opener.
    const opener = addon.Opener.fromKeys(encryptionKey, macKey, 0n);
    for (const packet of packets) opener.open(packet, opened);
  };
  openAll();
  if (!plaintext.every((byte, i) => byte === opened[i])) throw new Error(`${size} bytes come back wrong`);

  const sealer = addon.Sealer.fromKeys(encryptionKey, macKey, 0n);
  const sealAll = () => {
    for (let call = 0; call < calls; call += 1) sealer.seal(plaintext, sealed);
  };
  result[`seal${size}`] = megabytesPerSecond(sealAll, calls * size);
  result[`open${size}`] = megabytesPerSecond(openAll, calls * size);
}
console.log(JSON.stringify(result));

function megabytesPerSecond(pass, bytes) {
  pass();
  const begun = cpuSeconds();
  let passes = 0;
  let seconds = 0;
  while (seconds < SECONDS) {
    pass();
    passes += 1;
    seconds = cpuSeconds() - begun;
  }
  return (passes * bytes) / 1e6 / seconds;
}

/** CPU time, so that other load on the machine matters little. */
function cpuSeconds() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}
