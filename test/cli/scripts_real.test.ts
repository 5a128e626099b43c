import { playScripts } from './play_scripts.ts';
import { startRealWorld } from './script_worlds.ts';

/* The commands of admins and of the person's account, against the real issuer: script_file.ts says how to read the scripts. */

playScripts('real', startRealWorld);
