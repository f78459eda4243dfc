#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { runCli } from './cli/run.ts';

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

process.exitCode = await runCli(process.argv.slice(2), process.cwd(), version);
