const fs = require('fs');
const { make } = require('./make.js');

const [file, n] = process.argv.slice(2);
fs.writeFile(file, JSON.stringify(make(n), null, 2), (err) => {
  if (err) throw err;
});
