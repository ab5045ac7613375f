const fs = require('fs');
const { make } = require('./make.js');

const [file, n] = process.argv.slice(2);
const out = fs.createWriteStream(file);
const doc = make(n);
out.write(`{"version": ${doc.version}, "rows": [\n`);
doc.rows.forEach((row, i) => out.write((i ? ',\n' : '') + JSON.stringify(row)));
out.end('\n]}\n');
