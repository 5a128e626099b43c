#!/usr/bin/env node
// npm run demo: the whole way from sign-in to a provider's token, on this machine.
import { launch } from './launch.mjs';

await launch(import.meta.url, 'scripts/demo.ts');
