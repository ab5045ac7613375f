import fse from 'fs-extra';
import make from './make.js';

const [file, n] = process.argv.slice(2);
await fse.outputJson(file, make.make(n), { spaces: 2 });
