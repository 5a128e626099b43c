#!/usr/bin/env node
console.log('hello from', process.version, process.execPath, process.argv.slice(2));
