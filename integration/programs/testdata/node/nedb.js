const Datastore = require('@seald-io/nedb');

async function main(file, n) {
  const db = new Datastore({ filename: file });
  await db.loadDatabaseAsync();
  for (let i = 0; i < 20; i += 1) {
    await db.insertAsync({ _id: `${n}-${i}-${Date.now()}`, of: Number(n), text: 'x'.repeat(200) });
  }
  await db.compactDatafileAsync();
}
main(...process.argv.slice(2));
