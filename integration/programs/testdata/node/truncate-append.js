const fs = require('fs');
const { make } = require('./make.js');

const [file, n] = process.argv.slice(2);
fs.truncateSync(file);
fs.appendFileSync(file, JSON.stringify(make(n)));
