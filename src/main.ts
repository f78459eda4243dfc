#!/usr/bin/env node
import { currentFolder } from './system/current-folder.ts'; // first: yargs asks for the folder when it is loaded
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { runCli } from './cli/run.ts';
import { runDaemon } from './daemon/run.ts';

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

// A closed terminal, or a full disk under a log, takes the words and not the work: `watch` goes on without them.
let unsaid = false;
for (const stream of [process.stdout, process.stderr])
  stream.on('error', (error: NodeJS.ErrnoException) => {
    unsaid ||= error.code !== 'EPIPE';
  });
process.on('exit', () => {
  if (unsaid) process.exitCode ||= 1;
});

let wasDaemon = false;
process.exitCode = await runCli(process.argv.slice(2), currentFolder, {
  program: { version, file: fileURLToPath(import.meta.url) },
  runDaemon: async (ports) => {
    wasDaemon = true;
    return await runDaemon(ports);
  },
});
// What of a project did not come to its end in time must not keep it.
if (wasDaemon) process.exit();
