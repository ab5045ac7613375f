const path = require('path');
const fs = require('fs');
const storage = require('node-persist');
const { make } = require('./make.js');

// Names its files by a hash of the key; an extension makes them protected.
async function main(file, n) {
  await storage.init({ dir: path.dirname(path.resolve(file)), extension: '.json' });
  await storage.setItem('state', make(n).rows);
}
main(...process.argv.slice(2));
