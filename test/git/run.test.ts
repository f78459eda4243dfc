import * as fs from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { Failure } from '../../src/model/failures.ts';
import { git, gitAsks, gitEnvironment, gitLine, redact, tryGit } from '../../src/git/run.ts';
import { simple } from '../../src/git/simple.ts';
import { isRunning } from '../support/processes.ts';
import { push, songRepository } from '../support/pushing.ts';
import { fileRemote, httpRemote } from '../support/remotes.ts';
import { repository, sandbox } from '../support/sandbox.ts';

/** For the time of the test only. */
function setVariables(variables: Record<string, string>): void {
  for (const [name, value] of Object.entries(variables)) vi.stubEnv(name, value);
  onTestFinished(() => void vi.unstubAllEnvs());
}

describe('credentials', () => {
  it.each([
    ['https://ann:secret@band.example/song.git', 'https://band.example/song.git'],
    [
      "fatal: unable to access 'https://ann:secret@band.example/song.git/': no",
      "fatal: unable to access 'https://band.example/song.git/': no",
    ],
    ["https://ann:it's@band.example and ssh://git:p@ss:w0rd@host:22/x", 'https://band.example and ssh://host:22/x'],
    ['https://token@band.example', 'https://band.example'],
    [
      'git@band.example:song.git, https://band.example/a@b and mail@band.example',
      'git@band.example:song.git, https://band.example/a@b and mail@band.example',
    ],
  ])('are cut out of %j', (text, cut) => {
    expect(redact(text)).toBe(cut);
  });

  it('are in nothing that a failed push says, shows or throws', async () => {
    const { url } = await httpRemote({ auth: { user: 'ann', password: 'other' } });
    const withSecret = url.replace('//', '//ann:hunter2@');
    const song = await songRepository();
    const shown: string[] = [];
    const result = await push(song, [withSecret, 'HEAD:main'], { onStderr: (line) => shown.push(line) });
    expect(shown).toContainEqual(expect.stringContaining('Authentication failed'));
    const thrown = await git(song, ['push', withSecret, 'HEAD:main']).catch((error: unknown) => error);
    if (!(thrown instanceof Failure)) throw new Error('no failure was thrown');
    const cause = thrown.cause as Error;
    expect(cause.message).toContain('git push http://127.0.0.1');
    for (const text of [
      result.stderr,
      String(result.stdout),
      ...shown,
      thrown.message,
      JSON.stringify(thrown),
      cause.message,
      String(cause.stack),
    ])
      expect(text).not.toContain('hunter2');
    const simply = await simple(song)
      .push(withSecret, 'main')
      .catch((error: unknown) => error);
    expect(simply).toBeInstanceOf(Error);
    expect(String(simply) + String((simply as Error).cause)).not.toContain('hunter2');
  });

  it('are cut out even where they come in two pieces', async () => {
    const shown: string[] = [];
    const alias = `alias.say=!printf 'https://ann:hun' >&2; sleep 0.1; printf 'ter2@band.example\\rnext' >&2`;
    const { stderr } = await tryGit(await sandbox(), ['-c', alias, 'say'], { onStderr: (line) => shown.push(line) });
    expect(shown).toEqual(['https://band.example', 'next']);
    expect(stderr).toBe('https://band.example\rnext');
  });
});

describe('the environment', () => {
  it('of another repository is left behind, that of the call is kept', async () => {
    const song = await songRepository();
    const other = await repository(path.join(await sandbox(), 'other'));
    setVariables({
      GIT_DIR: path.join(other, '.git'),
      GIT_WORK_TREE: other,
      GIT_INDEX_FILE: path.join(other, '.git/index'),
    });
    expect(await gitLine(song, ['rev-parse', '--show-toplevel'])).toBe(song);
    const index = path.join(await sandbox(), 'index');
    await git(song, ['read-tree', 'HEAD'], { env: { GIT_INDEX_FILE: index } });
    expect((await fs.stat(index)).size).toBeGreaterThan(0);
  });

  it('keeps what the user set up to get in', () => {
    setVariables({
      GIT_SSH_COMMAND: 'ssh -i key',
      SSH_AUTH_SOCK: '/agent',
      GIT_ASKPASS: 'askpass',
      https_proxy: 'http://p',
    });
    expect(gitEnvironment()).toMatchObject({
      GIT_SSH_COMMAND: 'ssh -i key',
      SSH_AUTH_SOCK: '/agent',
      GIT_ASKPASS: 'askpass',
      https_proxy: 'http://p',
    });
  });

  it('lets nothing ask: no editor, no terminal, no window', async () => {
    const song = await songRepository();
    const window = path.join(await sandbox(), 'window');
    await fs.writeFile(window, `#!/bin/sh\ntouch '${window}.opened'\nexec sleep 600\n`, { mode: 0o755 });
    setVariables({ SSH_ASKPASS: window, DISPLAY: ':0', GIT_EDITOR: window, EDITOR: window });
    const { url } = await httpRemote({ auth: { user: 'ann', password: 'secret' } });
    expect((await tryGit(song, ['ls-remote', url])).stderr).toContain('terminal prompts disabled');
    expect((await tryGit(song, ['commit', '--amend', '--allow-empty'])).exitCode).toBe(0);
    await expect(fs.access(`${window}.opened`)).rejects.toThrow('ENOENT');
  });

  it('makes what is committed survive a power cut, and starts no housekeeping', async () => {
    const song = await songRepository();
    const set = async (name: string) => await gitLine(song, ['config', '--get', name]);
    expect([await set('core.fsync'), await set('gc.auto'), await set('maintenance.auto')]).toEqual([
      'committed,loose-object',
      '0',
      'false',
    ]);
  });
});

describe('a call', () => {
  it('that is called off takes the hook with it that it was waiting for', async () => {
    const song = await songRepository();
    const file = path.join(song, 'pid');
    const script = `#!/bin/sh\nsh -c 'echo $$ > "$0.new"; mv "$0.new" "$0"; sleep 600; true' '${file}'\n`;
    await fs.writeFile(path.join(song, '.git/hooks/pre-push'), script, { mode: 0o755 });
    const { url } = await fileRemote();
    const enough = new AbortController();
    const pushing = tryGit(song, ['push', url, 'HEAD:main'], { signal: enough.signal, hooks: true });
    const hook = Number(await vi.waitFor(async () => await fs.readFile(file, 'utf8'), { timeout: 20_000 }));
    enough.abort();
    expect(await pushing).toMatchObject({ killed: 'abort', signal: 'SIGKILL' });
    await vi.waitFor(() => expect(isRunning(hook)).toBe(false), { timeout: 20_000 });
  });

  it('gives lines, answers and bytes', async () => {
    const song = await songRepository();
    expect(await gitLine(song, ['rev-parse', '--abbrev-ref', 'HEAD'])).toBe('main');
    expect(await gitAsks(song, ['diff', '--quiet'])).toBe(true);
    await fs.writeFile(path.join(song, 'Song.als'), 'two');
    expect(await gitAsks(song, ['diff', '--quiet'])).toBe(false);
    await expect(gitAsks(song, ['diff', '--quiet', 'nothing'])).rejects.toMatchObject({ row: 'git-failed' });
    const bytes = Buffer.from([0, 255, 128, 10, 13, 0xc3]);
    const blob = (await git(song, ['hash-object', '-w', '--stdin'], { input: bytes })).trim();
    expect((await tryGit(song, ['cat-file', 'blob', blob])).stdout.equals(bytes)).toBe(true);
  });
});

describe('simple-git', () => {
  it('does not take a git that was killed, or that failed silently, for a success', async () => {
    const song = await songRepository();
    await fs.writeFile(path.join(song, '.git/hooks/pre-commit'), '#!/bin/sh\nkill -9 $PPID\n', { mode: 0o755 });
    await expect(simple(song).commit('x', { '--allow-empty': null })).rejects.toThrow('Git failed');
    await expect(simple(song).raw('diff', '--quiet', 'HEAD~0', '--no-index', '/dev/null', 'Song.als')).rejects.toThrow(
      'Git failed',
    );
    expect((await simple(song).log()).total).toBe(1);
  });
});
