// Tries to lock each file that it reads as a line, holds what it got, and says how that went.
import { createInterface } from 'node:readline';
import { lockFolder } from '../../server/storage/folder_lock.ts';

process.stdout.write('ready\n');
for await (const file of createInterface({ input: process.stdin })) {
  let outcome = 'held';
  try {
    lockFolder(file);
  } catch (error) {
    outcome = (error as Error).message;
  }
  process.stdout.write(`${file}: ${outcome}\n`);
}
