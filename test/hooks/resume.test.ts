import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, it } from 'vitest';
import { branchesIn, stageForPush } from '../../src/hook/stage.ts';
import { git, gitLine, tryGit } from '../../src/git/run.ts';
import { capabilities, learn } from '../../src/lock/capabilities.ts';
import { lockContext } from '../../src/lock/context.ts';
import { probeRemote } from '../../src/lock/probe.ts';
import { alone } from '../../src/project/guard.ts';
import { openProject } from '../../src/project/project.ts';
import { installHooks } from '../../src/setup/hooks.ts';
import { letNegotiate } from '../../src/setup/negotiate.ts';
import { byHand } from '../setup/helpers.ts';
import { oxenvcs } from '../support/cli.ts';
import { proxy } from '../support/proxy.ts';
import { fileRemote, httpRemote, isPush, serverHook, sshRemote } from '../support/remotes.ts';
import { write } from '../support/sandbox.ts';
import { annWithTakes, assertWhole, record, stagingRefs } from '../support/takes.ts';
import type { Member } from '../support/team.ts';

const smallPartsByHand = {
  '.oxenvcs/config.json':
    '{"v":1,"push":{"minPartBytes":8192,"maxPartBytes":131072},"network":{"initialBackoffMs":20}}\n',
};

/** Ann with hooks, who pushes by hand, in parts of a few KiB. */
async function byHandWith(remote: Parameters<typeof annWithTakes>[0]): Promise<Member> {
  const ann = await annWithTakes(remote);
  await write(ann.project.root, smallPartsByHand);
  await installHooks(ann.project);
  await probeRemote(ann.ctx);
  await letNegotiate(ann.project.root, (await capabilities(ann.ctx)).negotiates);
  return ann;
}

it('a git push by hand that is interrupted goes on where it was: the second one does not send the parts again', async () => {
  const remote = await httpRemote();
  const ann = await byHandWith(remote);
  const { root } = ann.project;
  expect(await gitLine(root, ['config', 'push.negotiate'])).toBe('true');
  const tip = await record(ann, 5, 100_000);
  let sent = 0;
  let pushes = 0;
  remote.trouble = (request) => {
    if (!isPush(request)) return null;
    pushes += 1;
    request.on('data', (chunk: Buffer) => {
      sent += chunk.length;
    });
    // Some parts get through, then the connection is gone.
    return pushes > 2 ? { cutRequestAfter: 20_000 } : null;
  };
  expect((await byHand(root, ['push', '-q', 'origin', 'main'])).code).not.toBe(0);
  const before = (await stagingRefs(remote.dir)).length;
  expect(before).toBeGreaterThan(0);
  [sent, pushes] = [0, Number.NEGATIVE_INFINITY];
  expect(await byHand(root, ['push', '-q', 'origin', 'main'])).toMatchObject({ code: 0 });
  await assertWhole(remote.dir, tip);
  expect(sent).toBeLessThan(450_000);
});

it('what is staged is not sent with the push again, and a small push makes no parts', async () => {
  const remote = await httpRemote();
  const ann = await byHandWith(remote);
  const { root } = ann.project;
  const tip = await record(ann, 3, 100_000);
  const beside: ReturnType<typeof alone>[] = [];
  remote.trouble = (request) => {
    if (isPush(request) && beside.length === 0) beside.push(alone(ann.project, 'publish', 0, async () => undefined));
    return null;
  };
  const { code, stderr } = await byHand(root, ['push', '--progress', 'origin', 'main']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringMatching(/Total 0 /) });
  // Whoever publishes at the same time would remove the parts.
  expect(await beside[0]).toMatchObject({ outcome: 'taken' });
  await assertWhole(remote.dir, tip);
  const staged = await stagingRefs(remote.dir);
  expect(staged.length).toBeGreaterThan(0);
  await write(root, { 'Song.als': 'small' });
  await byHand(root, ['commit', '-qam', 'small']);
  expect(await byHand(root, ['push', '-q', 'origin', 'main'])).toMatchObject({ code: 0, stderr: '' });
  expect(await stagingRefs(remote.dir)).toEqual(staged);
  // No hook runs after a push; the next look at the queue tidies up.
  expect((await oxenvcs(['push'], { cwd: root })).code).toBe(0);
  expect(await stagingRefs(remote.dir)).toEqual([]);
});

it('stays out of the way where the remote cannot negotiate (ssh as Debian sets it up)', async () => {
  const remote = await sshRemote();
  const ann = await byHandWith(remote);
  const { root } = ann.project;
  expect((await capabilities(ann.ctx)).negotiates).toBe(false);
  expect((await tryGit(root, ['config', 'push.negotiate'])).exitCode).toBe(1);
  // Moved here from another remote: git would complain at the first push to one that is empty.
  await letNegotiate(root, true);
  await letNegotiate(root, null);
  expect((await tryGit(root, ['config', 'push.negotiate'])).exitCode).toBe(1);
  const tip = await record(ann, 3, 100_000);
  expect(await byHand(root, ['push', '-q', 'origin', 'main'])).toMatchObject({ code: 0, stderr: '' });
  await assertWhole(remote.dir, tip);
  expect(await stagingRefs(remote.dir)).toEqual([]);
});

it('over ssh the connection of git itself must not wait for long, unless ssh keeps it alive: then all of it goes in parts', async () => {
  const remote = await sshRemote({ acceptGitProtocol: true });
  const ann = await annWithTakes({ url: `file://${remote.dir}`, env: remote.env });
  const { root } = ann.project;
  await write(root, smallPartsByHand);
  await letNegotiate(root, true);
  const tip = await record(ann, 6, 60_000);
  const net = await proxy(remote);
  await git(root, ['remote', 'set-url', 'origin', net.url(remote.url)]);
  await learn(await lockContext(ann.project), { negotiates: true });
  await net.set({ bytesPerSecond: 600_000 });
  const lines = `refs/heads/main ${tip} refs/heads/main ${await gitLine(remote.dir, ['rev-parse', 'main'])}\n`;
  const never = new AbortController().signal;
  const project = await openProject(root);
  process.env['GIT_SSH_COMMAND'] = remote.command('-o ServerAliveInterval=0');
  expect(await stageForPush(project, lines, never, 1000)).toMatch(/^Git sends the rest in one piece/);
  const some = (await stagingRefs(remote.dir)).length;
  await net.set('pass');
  process.env['GIT_SSH_COMMAND'] = remote.command('-o ServerAliveInterval=30');
  expect(await stageForPush(project, lines, never, 1)).toBeNull();
  const all = await stagingRefs(remote.dir);
  expect(all.length).toBeGreaterThan(some);
  expect(all.filter((ref) => ref.endsWith('.tip'))).toHaveLength(1);
});

it('beside git-lfs: its files go up first, then the parts, and an interrupted push goes on where it was', async () => {
  const remote = await fileRemote();
  const ann = await annWithTakes(remote);
  const { root } = ann.project;
  await git(root, ['lfs', 'install', '--local'], { hooks: true });
  await write(root, {
    ...smallPartsByHand,
    '.gitattributes': '*.wav -delta -text\n*.aif filter=lfs diff=lfs merge=lfs -text\n',
    'Bounce.aif': 'a bounce',
  });
  await installHooks(ann.project);
  await letNegotiate(root, true);
  await learn(ann.ctx, { negotiates: true });
  const tip = await record(ann, 5, 100_000);
  const [oid = ''] = /[0-9a-f]{64}/.exec(await git(root, ['cat-file', 'blob', `${tip}:Bounce.aif`])) ?? [];
  const stored = path.join('lfs/objects', oid.slice(0, 2), oid.slice(2, 4), oid);
  // The remote goes away after two parts.
  await serverHook(
    remote,
    'pre-receive',
    `test -f ${stored} || exit 1
    test ! -f went-away || test ! -f 2nd || exit 1
    test ! -f 1st || touch 2nd
    touch 1st
    cat >>received`,
  );
  await fs.writeFile(path.join(remote.dir, 'went-away'), '');
  expect((await byHand(root, ['push', '-q', 'origin', 'main'])).code).toBe(1);
  expect(await fs.readFile(path.join(remote.dir, stored), 'utf8')).toBe('a bounce');
  expect((await stagingRefs(remote.dir)).length).toBeGreaterThan(0);
  await fs.rm(path.join(remote.dir, 'went-away'));
  expect(await byHand(root, ['push', '-q', 'origin', 'main'])).toMatchObject({ code: 0 });
  await assertWhole(remote.dir, tip);
  const received = await fs.readFile(path.join(remote.dir, 'received'), 'utf8');
  const links = received.match(/\w+(?= refs\/oxenvcs\/staging\/.*\.\d+$)/gm) ?? [];
  expect(links).toHaveLength(5);
  expect(new Set(links).size).toBe(5);
});

it('a push that would have worked without the hook still works when no part can be brought there', async () => {
  const remote = await httpRemote();
  const ann = await byHandWith(remote);
  const tip = await record(ann, 2, 100_000);
  await fs.writeFile(
    path.join(remote.dir, 'hooks/pre-receive'),
    '#!/bin/sh\nwhile read -r old new ref; do case $ref in *staging*) echo no; exit 1;; esac; done\n',
    { mode: 0o755 },
  );
  expect(await byHand(ann.project.root, ['push', '-q', 'origin', 'main'])).toMatchObject({ code: 0 });
  await assertWhole(remote.dir, tip);
});

it('which of the lines move a branch', () => {
  const [a, zero] = ['a'.repeat(40), '0'.repeat(40)];
  const lines = [
    `refs/heads/main ${a} refs/heads/main ${zero}`,
    `(delete) ${zero} refs/heads/old ${a}`,
    `refs/tags/v1 ${a} refs/tags/v1 ${zero}`,
    `HEAD ${a} refs/heads/idea ${a}`,
    '',
  ];
  expect(branchesIn(lines.join('\n'))).toEqual([
    { tip: a, known: [] },
    { tip: a, known: [a] },
  ]);
});
