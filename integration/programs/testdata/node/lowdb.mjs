import { JSONFilePreset } from 'lowdb/node';
import make from './make.js';

const [file, n] = process.argv.slice(2);
const db = await JSONFilePreset(file, {});
db.data = make.make(n);
await db.write();
