import writeFileAtomic from 'write-file-atomic';
import make from './make.js';

const [file, n] = process.argv.slice(2);
await writeFileAtomic(file, JSON.stringify(make.make(n)));
