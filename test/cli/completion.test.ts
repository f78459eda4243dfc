import path from 'node:path';
import { expect, it } from 'vitest';
import { run } from '../../src/system/process.ts';
import { oxenvcs } from '../support/cli.ts';
import { sandbox, write } from '../support/sandbox.ts';

it('a shell completes commands and options; bash is asked itself', async () => {
  const dir = await sandbox();
  const main = path.resolve(import.meta.dirname, '../../dist/main.js');
  await write(dir, { oxenvcs: `#!/bin/sh\nexec '${process.execPath}' '${main}' "$@"\n` });
  const script = `chmod +x oxenvcs; PATH=$PWD:$PATH; eval "$(oxenvcs completion bash)"
    complete_words() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _oxenvcs_yargs_completions; echo "\${COMPREPLY[*]}"; }
    complete_words oxenvcs do; complete_words oxenvcs lock re; complete_words oxenvcs remove --del`;
  const { stdout } = await run('bash', ['-c', script], { cwd: dir, env: process.env });
  expect(stdout.toString('utf8')).toBe('doctor\nrelease renew\n--delete-history\n');
});

it('each shell gets a script of its own; of another shell it says so', async () => {
  const script = async (shell: string) => await oxenvcs(['completion', shell], { cwd: '/', env: { SHELL: '/bin/sh' } });
  expect((await script('zsh')).stdout).toMatch(/^#compdef oxenvcs\n/);
  expect((await script('fish')).stdout).toContain('complete -f -c oxenvcs');
  expect(await script('tcsh')).toMatchObject({
    code: 2,
    stdout: '',
    stderr: expect.stringContaining('bash, zsh or fish'),
  });
});
