#!/usr/bin/env node
// npm run keys: signing keys with access to the database alone, when no admin can sign in: npm run keys -- list
import { launch } from './launch.mjs';

await launch(import.meta.url, 'server/keys_command.ts');
