#!/usr/bin/env node
// npm run soak:rotation: a thousand rotations under load, for as long as that takes.
import { launch } from './launch.mjs';

await launch(import.meta.url, 'scripts/soak_rotation.ts');
