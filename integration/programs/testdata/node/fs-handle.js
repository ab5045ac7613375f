const fs = require('fs/promises');
const { make } = require('./make.js');

async function main(file, n) {
  const handle = await fs.open(file, 'r+');
  const doc = JSON.parse(await handle.readFile('utf8'));
  Object.assign(doc, make(n));
  const text = JSON.stringify(doc);
  await handle.truncate(0);
  await handle.write(text, 0);
  await handle.sync();
  await handle.close();
}
main(...process.argv.slice(2));
