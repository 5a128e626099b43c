#!/usr/bin/env node
// npm run bench: how close the issuer comes to a bare server, measured side by side.
import { launch } from './launch.mjs';

await launch(import.meta.url, 'bench/run.ts');
