// Writes the table of variables into the README, between its markers. A test keeps the two equal.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { renderConfigTable } from '../server/config/config.ts';

const README = fileURLToPath(new URL('../README.md', import.meta.url));
const [BEGIN, END] = ['<!-- config:begin -->', '<!-- config:end -->'];

const text = readFileSync(README, 'utf8');
const [begin, end] = [text.indexOf(BEGIN), text.indexOf(END)];
if (begin === -1 || end < begin) throw new Error(`README.md has lost its markers ${BEGIN} and ${END}`);
writeFileSync(README, `${text.slice(0, begin + BEGIN.length)}\n${renderConfigTable()}\n${text.slice(end)}`);
