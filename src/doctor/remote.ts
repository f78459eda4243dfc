import { randomUUID } from 'node:crypto';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import { gitFailure } from '../git/failures.ts';
import { tryGit } from '../git/run.ts';
import { capabilities, type Capabilities } from '../lock/capabilities.ts';
import type { LockContext } from '../lock/context.ts';
import { probeRemote } from '../lock/probe.ts';
import { type LockStatus, lockStatus } from '../lock/status.ts';
import { graceMs } from '../lock/time.ts';
import { away, localFolder } from '../network/away.ts';
import { checkRemote } from '../network/connectivity.ts';
import { isVault } from '../project/vault.ts';
import { exists } from '../system/disk.ts';
import { networkDrive } from '../system/network-drive.ts';
import { remoteRefs } from '../lock/look.ts';
import { knownLimit } from '../push/file-limit.ts';
import { remember } from '../push/memory.ts';
import { missingBytes } from '../push/plan.ts';
import { overFolders, stagedAmong, stagingPrefix } from '../push/staging.ts';
import { tidy } from '../push/tidy.ts';
import { type Check, failed, good, problem, remark } from './check.ts';

/** Can it be reached, who has the lock, and what does it allow? Asked anew: somebody may have changed its settings. */
export async function remoteChecks(ctx: LockContext): Promise<Check[]> {
  // An answer is there soon, or there will be none.
  const asked = await checkRemote(ctx, ctx.clock);
  if (asked.failure !== null) return [(await vaultGone(ctx)) ?? failed('remote', asked.failure)];
  const { status, unreachable } = await lockStatus(ctx);
  if (unreachable !== null) return [failed('remote', await away(unreachable, ctx))];
  const beside = [
    ...(await stagingCheck(ctx)),
    lockCheck(status),
    ...(await serviceCheck(ctx)),
    ...(await driveCheck(ctx)),
    ...(await clockCheck(ctx)),
  ];
  const probed = await probeRemote(ctx);
  if (probed.outcome === 'publish-first')
    return [good('remote', 'reachable; publish a version first, then it can be asked what it allows'), ...beside];
  if ('failure' in probed) return [failed('remote', probed.failure), ...beside];
  const found = await capabilities(ctx);
  return [good('remote', 'reachable'), ...allowed(found, ctx.branch), limits(found, ctx.remote.url), ...beside];
}

/** What was deleted with the data folder comes back by itself no more than it may be a disk that is away. */
async function vaultGone({ remote: { url } }: LockContext): Promise<Check | null> {
  if (!(await isVault(url)) || (await exists(url))) return null;
  return problem(
    'remote',
    `the vault of this project is gone: there is no ${url}`,
    'Nothing is lost here. Run `oxenvcs init` in the project: it makes a new vault, and all versions go there.',
  );
}

function lockCheck({ unreadable, mine, held, lock }: LockStatus): Check {
  if (unreadable === 'damaged')
    return problem(
      'lock',
      'the record on the remote cannot be read',
      'If nobody on the team holds it: `oxenvcs lock break --force --reason "damaged"`.',
    );
  if (unreadable === 'newer')
    return problem('lock', 'it was written by a newer oxenvcs', 'Update oxenvcs on this computer.');
  return good('lock', mine ? 'yours' : held ? `held by ${lock?.owner.name ?? 'somebody'}` : 'free');
}

function allowed({ namespace, atomic, deletes, branch, negotiates, said }: Capabilities, name: string): Check[] {
  const why = said ?? 'it did not say why';
  return [
    good('lock refs', `kept below ${namespace}`),
    atomic
      ? good('fencing', 'atomic: a save whose lock no longer stands cannot land')
      : remark(
          'fencing',
          'advisory: the remote cannot move branch and lock in one step',
          'Agree in the team who works; or use a host with atomic pushes (GitHub, GitLab, Gitea, a NAS over ssh).',
        ),
    good(
      'git push',
      negotiates === true
        ? 'by hand it goes on where it was interrupted'
        : 'by hand it starts anew when it is interrupted; `oxenvcs push` goes on',
    ),
    branch === false
      ? problem(
          'branch',
          `the remote does not let us publish ${name}: ${why}`,
          'Ask whoever runs it to allow pushes to this branch.',
        )
      : good('branch', `${name} may be published`),
    good(
      'deletes',
      deletes === false ? 'not allowed; small refs of ours may stay behind, which does no harm' : 'allowed',
    ),
  ];
}

/** How much the remote takes at once, as far as it is known: by its name, or from what it has turned down. */
function limits({ maxBlobBytes, maxPushBytes }: Capabilities, url: string): Check {
  const file = maxBlobBytes ?? knownLimit(url);
  const said = [
    ...(file === null ? [] : [`files up to ${megabytes(file)}`]),
    ...(maxPushBytes === null ? [] : [`pushes up to ${megabytes(maxPushBytes)}`]),
  ];
  return good('limits', said.length === 0 ? 'none known' : said.join(', '));
}

const megabytes = (bytes: number): string => `${Math.floor(bytes / 1e6)} MB`;

/** Parts of pushes that are over, or were given up: they take room on the remote and serve nobody. */
async function stagingCheck(ctx: LockContext): Promise<Check[]> {
  const prefix = stagingPrefix((await capabilities(ctx)).namespace);
  const listed = await remoteRefs(ctx, [`${prefix}*`]);
  if (listed.outcome !== 'read') return [];
  const staged = stagedAmong(listed.refs, prefix);
  const over = overFolders(staged, ctx.owner.clone, ctx.clock.now());
  const parts = staged.filter(({ folder }) => over.includes(folder)).length;
  // What waits here may still need them.
  if (parts === 0 || (await missingBytes(ctx, `refs/heads/${ctx.branch}`, [])) > 0) return [];
  return [
    remark(
      'parts',
      `${parts} parts of pushes that are over lie on the remote`,
      'Run `oxenvcs doctor --fix`: it removes them.',
      async () => {
        await remember(ctx, { over });
        await tidy(ctx);
      },
    ),
  ];
}

/** What a terminal has and a service that the system starts has not: an agent with unlocked keys, settings for one shell. */
const ofTheTerminal = [
  'SSH_AUTH_SOCK',
  'SSH_AGENT_PID',
  'GIT_ASKPASS',
  'GIT_SSH',
  'GIT_SSH_COMMAND',
  'DISPLAY',
  'WAYLAND_DISPLAY',
];

/** Would the background process get in after the next start of the computer, with nobody there to type a password? */
async function serviceCheck(ctx: LockContext): Promise<Check[]> {
  if (localFolder(ctx.remote.url) !== null) return [];
  const args = ['ls-remote', '--quiet', '--', ctx.remote.url, `refs/heads/${ctx.branch}`];
  const asked = await tryGit(ctx.root, args, { timeoutMs: ctx.settings.network.timeoutMs, without: ofTheTerminal });
  if (asked.exitCode === 0) return [good('credentials', 'usable without a terminal')];
  const { code, message } = gitFailure(asked, ['ls-remote']);
  if (code !== 'AUTH') return [];
  const hint = /^(https?):/.test(ctx.remote.url)
    ? 'Let Git remember them: `git config --global credential.helper store` (or your system’s own helper), then push once by hand.'
    : 'Use a key that needs no agent (on a Mac: `ssh-add --apple-use-keychain`), or start the agent with your login.';
  return [
    remark(
      'credentials',
      `they work in this terminal only, not for a service that the system starts: ${message}`,
      hint,
    ),
  ];
}

/** A repository in a folder: is that on a drive of the network? */
async function driveCheck(ctx: LockContext): Promise<Check[]> {
  const folder = localFolder(ctx.remote.url);
  const drive = folder === null ? null : await networkDrive(folder);
  if (drive === null) return [];
  return [
    remark(
      'remote drive',
      `the remote lies on a network drive (${drive}): who is cut off in the middle of a push can damage it for all`,
      'Reach it over ssh or https instead: most NAS have a Git server, or at least ssh.',
    ),
  ];
}

/** Below this nobody is disturbed, ms. */
const slackMs = 60_000;

/** Leases have ends: clocks that differ by more than the grace let a lock be taken too early, or too late. */
async function clockCheck(ctx: LockContext): Promise<Check[]> {
  const skewMs = await skew(ctx);
  if (skewMs === null) return [];
  const apart = `${Math.round(Math.abs(skewMs) / 1000)} s`;
  if (Math.abs(skewMs) <= Math.min(slackMs, graceMs(ctx.settings.lock.leaseHours * 3_600_000)))
    return [good('clock', Math.abs(skewMs) < 2000 ? 'as the remote’s' : `${apart} from the remote’s`)];
  const way = skewMs > 0 ? 'ahead of' : 'behind';
  return [
    problem(
      'clock',
      `this computer’s is ${apart} ${way} the remote’s`,
      'Let both set their clocks by the network (in the settings for date and time).',
    ),
  ];
}

/** How far our clock is ahead of the remote's, ms; null where it does not tell (ssh). */
async function skew(ctx: LockContext): Promise<number | null> {
  const folder = localFolder(ctx.remote.url);
  const before = ctx.clock.now();
  if (folder !== null) return await folderSkew(folder, before);
  const args = ['ls-remote', '--quiet', '--', ctx.remote.url, `refs/heads/${ctx.branch}`];
  const { serverDateMs } = await tryGit(ctx.root, args, { timeoutMs: ctx.settings.network.timeoutMs });
  if (serverDateMs === null) return null;
  // The header is of whole seconds, and of some moment in between.
  const [least, most] = [before - serverDateMs - 1000, ctx.clock.now() - serverDateMs];
  return least > 0 ? least : Math.min(0, most);
}

/** A network drive gives files the time of its own clock. */
async function folderSkew(folder: string, now: number): Promise<number | null> {
  if ((await networkDrive(folder)) === null) return null;
  const file = path.join(folder, `oxenvcs-clock-${randomUUID()}.tmp`);
  try {
    await fs.writeFile(file, '');
    return now - (await fs.stat(file)).mtimeMs;
  } catch {
    return null; // it may not be written to: that is told by what it allows
  } finally {
    await fs.rm(file, { force: true });
  }
}
