// Owns: running one of this project's TypeScript programs from a fresh clone, on whatever Node a machine has.
// Never: stands between the program and its terminal, its arguments or its exit code.
// Keeps true: the program ends before this does, and this ends as it did.
import { spawn } from 'node:child_process';
import { runMain } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureInstalled, findNode, pathWithBin, printError, root } from './install.mjs';

// A Ctrl-C reaches the program from the terminal, and once more from here: programs take two within a second for one.
// Not to pass it on would lose the signal that somebody sends to this process alone.
const passedOn = ['SIGINT', 'SIGTERM', 'SIGHUP'];

/** Installs what is missing and runs `program` (a path in this checkout) with this process's arguments. */
export async function launch(scriptUrl, program) {
  try {
    await ensureInstalled();
    const node = findNode();
    process.env.PATH = pathWithBin(); // what the program starts as `node` or `vouch` is this checkout's
    if (node === process.execPath) runHere(program);
    else await runAgain(node, fileURLToPath(scriptUrl));
  } catch (error) {
    printError(error);
    process.exitCode = 1;
  }
}

function runHere(program) {
  process.argv[1] = path.join(root, program);
  // As the entry point, not as an import: `import.meta.main` and an error's output are those of `node program`.
  runMain();
}

// This Node is too old: the same script once more, on the one that came with the packages.
async function runAgain(node, script) {
  const child = spawn(node, [script, ...process.argv.slice(2)], { stdio: 'inherit' });
  const forward = (signal) => { child.kill(signal); };
  for (const signal of passedOn) process.on(signal, forward);
  const [code, signal] = await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (...outcome) => { resolve(outcome); });
  });
  for (const name of passedOn) process.off(name, forward);
  if (signal) process.kill(process.pid, signal); // so that whoever waits for this process sees how the program ended
  else process.exitCode = code;
}
