#!/usr/bin/env node
// npm start: the issuer, from a fresh clone in one command. Arguments go to it: npm start -- --check-config
import { launch } from './launch.mjs';

await launch(import.meta.url, 'server/main.ts');
