#!/usr/bin/env node
// npm run build: dist/, which runs on a plain Node with the production packages alone: node dist/server/main.js
import { spawnSync } from 'node:child_process';
import { cpSync, rmSync } from 'node:fs';
import path from 'node:path';
import { binDir, ensureInstalled, pathWithBin, printError, root } from './install.mjs';

const dist = path.join(root, 'dist');
const isForTheBuildAlone = (file) => file.endsWith('.ts') || path.basename(file).startsWith('.');

try {
  await ensureInstalled();
  rmSync(dist, { recursive: true, force: true }); // or a file that is gone from the source would live on
  const { status } = spawnSync(path.join(binDir, 'tsc'), ['-p', 'tsconfig.build.json'], { cwd: root, env: { ...process.env, PATH: pathWithBin() }, stdio: 'inherit' });
  if (status === 0) {
    // What the compiler leaves behind and the programs read at run time: assets, the CLI's launcher, migrations.
    for (const room of ['server', 'cli']) cpSync(path.join(root, room), path.join(dist, room), { recursive: true, filter: (file) => !isForTheBuildAlone(file) });
    cpSync(path.join(root, 'prisma', 'migrations'), path.join(dist, 'prisma', 'migrations'), { recursive: true });
  }
  process.exitCode = status ?? 1;
} catch (error) {
  printError(error);
  process.exitCode = 1;
}
