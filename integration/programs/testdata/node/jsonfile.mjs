import jsonfile from 'jsonfile';
import make from './make.js';

const [file, n] = process.argv.slice(2);
await jsonfile.writeFile(file, make.make(n), { spaces: 2 });
