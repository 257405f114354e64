// What the fuzzer keeps and has found, once more, and a few changes of each: what takes foreign bytes keeps its promises.
// `node scripts/fuzz-ts.mjs` goes on from here.

import assert from "node:assert/strict";
import { test } from "node:test";
import { corpusPath, readCorpus } from "../../fuzz/corpus.js";
import { mutated, Random } from "../../fuzz/mutate.js";
import { targets } from "../../fuzz/targets.js";
import { limits } from "../../support/cleanup.js";

/** Changed inputs of each target. */
const changes = 40;

for (const target of targets.filter(({ isLong }) => !isLong)) {
  test(`fuzzed: ${target.name}`, limits, async () => {
    const corpus = readCorpus(corpusPath(target.name));
    assert.ok(corpus.length > 0, "there is a corpus");
    const random = new Random(1);
    try {
      for (const input of corpus) await target.run(input);
      for (let count = 0; count < changes; count += 1) {
        const input = mutated(random.of(corpus) ?? new Uint8Array(), target.words, corpus, random);
        await target.run(input);
      }
    } finally {
      await target.close?.();
    }
  });
}
