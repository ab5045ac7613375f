// Saves a document with writeFileSync, as most Node programs do.
const fs = require('fs');

const path = process.argv[2];
let seq = Number(process.argv[3]);
const count = Number(process.argv[4]);
for (;;) {
  seq += 1;
  const doc = { head: seq, who: 'node', body: Array(count).fill(seq), tail: seq };
  fs.writeFileSync(path, JSON.stringify(doc, null, 2));
  fs.writeSync(1, `${seq}\n`);
}
