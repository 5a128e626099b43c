#!/usr/bin/env node
// npm run bench:cli: how soon a cached token is on standard output, measured beside a Node that does nothing.
import { launch } from './launch.mjs';

await launch(import.meta.url, 'bench/cli_start.ts');
