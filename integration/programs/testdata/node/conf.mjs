import path from 'node:path';
import Conf from 'conf';
import make from './make.js';

const [file, n] = process.argv.slice(2);
const conf = new Conf({ cwd: path.dirname(path.resolve(file)), configName: path.basename(file, '.json'), projectName: 'x' });
conf.store = make.make(n);
