import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { git, gitLine } from '../../src/git/run.ts';
import type { Project } from '../../src/project/project.ts';
import { publishQueue } from '../../src/sync/publish.ts';
import { systemClock } from '../../src/system/clock.ts';
import { serverHook } from '../support/remotes.ts';
import { projectWithRemote } from '../support/project.ts';

/** A project whose takes are kept by git-lfs, with one that waits to be published. */
async function withLfs(): Promise<{ project: Project; remote: string; stored: string }> {
  const { project, remote } = await projectWithRemote({
    '.gitattributes': '*.wav filter=lfs diff=lfs merge=lfs -text\n',
  });
  const { root } = project;
  await git(root, ['lfs', 'install', '--local', '--skip-repo']);
  await fs.writeFile(path.join(root, 'take.wav'), 'a take');
  await git(root, ['add', '--all']);
  await git(root, ['commit', '--quiet', '-m', 'a take']);
  const oid = /^oid sha256:(\w+)$/m.exec(await git(root, ['cat-file', 'blob', 'HEAD:take.wav']))?.[1] ?? '';
  return { project, remote, stored: path.join(remote, 'lfs', 'objects', oid.slice(0, 2), oid.slice(2, 4), oid) };
}

const publishNow = async (project: Project) =>
  await publishQueue(project, {
    clock: systemClock,
    signal: new AbortController().signal,
    patienceMs: 10_000,
    urgency: 'by-hand',
  });

test('no pointer of git-lfs is published before its file is there: on the team’s branch, and on a rescue branch', async () => {
  const { project, remote, stored } = await withLfs();
  // The server itself looks, before any branch moves.
  await serverHook(
    { dir: remote },
    'pre-receive',
    `while read a b ref; do case $ref in refs/heads/*) test -f '${stored}' || exit 1;; esac; done`,
  );
  expect(await publishNow(project)).toMatchObject([{ outcome: 'published', published: { rescue: null } }]);
  expect(await fs.readFile(stored, 'utf8')).toBe('a take');

  const other = await gitLine(remote, ['commit-tree', '-m', 'by somebody else', '-p', 'main', 'main^{tree}']);
  await git(remote, ['update-ref', 'refs/heads/main', other]);
  await fs.rm(path.join(remote, 'lfs'), { recursive: true });
  await fs.writeFile(path.join(project.root, 'take.wav'), 'another take');
  await git(project.root, ['commit', '--quiet', '-am', 'another take']);
  await serverHook(
    { dir: remote },
    'pre-receive',
    `while read a b ref; do case $ref in refs/heads/*) test -d '${remote}/lfs/objects' || exit 1;; esac; done`,
  );
  expect(await publishNow(project)).toMatchObject([{ outcome: 'published' }]);
  expect(await git(remote, ['for-each-ref', 'refs/heads'])).toMatch(/main/);
});

test('an upload that fails stops the publish, with what to do, and the next try makes up for it', async () => {
  const { project, remote, stored } = await withLfs();
  await git(project.root, ['config', 'lfs.url', 'http://127.0.0.1:9/nobody-there']);
  await git(project.root, ['config', 'lfs.transfer.maxretries', '1']);
  expect(await publishNow(project)).toMatchObject([
    { outcome: 'not-yet', failure: { row: 'lfs-failed', retryable: true } },
  ]);
  expect(await git(remote, ['for-each-ref', 'refs/heads'])).toBe('');
  await git(project.root, ['config', '--unset', 'lfs.url']);
  expect(await publishNow(project)).toMatchObject([{ outcome: 'published' }]);
  expect(await fs.readFile(stored, 'utf8')).toBe('a take');
});

test('git-lfs that was taken away hinders only a project that uses it', async () => {
  const { project } = await withLfs();
  const real = process.env['PATH'] ?? '';
  const bin = path.join(path.dirname(project.root), 'bin');
  await fs.mkdir(bin);
  for (const name of ['git', 'sh'])
    await fs.symlink(await gitLine(project.root, ['-c', `alias.w=!command -v ${name}`, 'w']), path.join(bin, name));
  process.env['PATH'] = bin;
  try {
    const [failed] = await publishNow(project);
    expect(failed).toMatchObject({ outcome: 'not-yet', failure: { row: 'lfs-failed' } });
    process.env['PATH'] = real;
    await git(project.root, ['config', '--remove-section', 'filter.lfs']);
    await fs.rm(path.join(project.root, '.gitattributes'));
    await git(project.root, ['commit', '--quiet', '-am', 'without git-lfs']);
    process.env['PATH'] = bin;
    expect(await publishNow(project)).toMatchObject([{ outcome: 'published' }]);
  } finally {
    process.env['PATH'] = real;
  }
});
