import { randomUUID } from 'node:crypto';
import { writeObject } from '../git/loose.ts';
import { sortFailure } from '../git/failures.ts';
import { tryGit } from '../git/run.ts';
import { Failure } from '../model/failures.ts';
import { type Capabilities, learn } from './capabilities.ts';
import type { LockContext } from './context.ts';
import { emptyTree } from './journal.ts';
import { remoteRefs, type Unreachable } from './look.ts';
import { lockRef, type Namespace, namespaces } from './names.ts';
import { swap, type Swapped } from './swap.ts';

/**
 * Finds out what a remote allows by doing it, to refs of our own beside the locks: where lock refs may lie, whether a push
 * is all or nothing, whether refs may be deleted, and whether the branch may be moved (without moving it). On hosts that
 * forbid deletes one small ref a clone is left behind.
 */
export type Probed =
  | { outcome: 'probed'; found: Capabilities }
  /** Lock refs may only lie among the branches, and there is none yet: a host would take ours for the default branch. */
  | { outcome: 'publish-first'; failure: Failure }
  | Unreachable;

/** Takes some six connections; what was found is remembered. `refused`: there is no place for a lock. */
export async function probeRemote(ctx: LockContext): Promise<Probed> {
  const branch = `refs/heads/${ctx.branch}`;
  const locks = namespaces.map((namespace) => lockRef(ctx.branch, namespace));
  const listed = await remoteRefs(ctx, [branch, ...locks, ...namespaces.map((namespace) => probeRef(ctx, namespace))]);
  if (listed.outcome !== 'read') return listed;
  const { refs } = listed;
  const tip = refs.get(branch) ?? null;
  // Two places would be two locks: where the team has its lock already, ours is.
  const taken = namespaces.find((namespace) => refs.has(lockRef(ctx.branch, namespace)));
  let refusal: Failure | null = null;
  for (const namespace of taken ? [taken] : namespaces) {
    if (refusal && tip === null && namespace.startsWith('refs/heads/'))
      return { outcome: 'publish-first', failure: refusal };
    const ref = probeRef(ctx, namespace);
    const tried = await tryPlace(ctx, ref, refs.get(ref) ?? null);
    if (tried.outcome === 'unreachable') return tried;
    if (tried.outcome === 'refused') {
      refusal ??= tried.failure;
      continue;
    }
    const { atomic, at } = tried;
    const mayMove = atomic && tip !== null ? await tryBranch(ctx, ref, branch, tip) : null;
    const deleted = await swap(ctx, [{ ref, old: at, next: '' }], { atomic: false });
    const deletes = deleted.outcome === 'done' ? true : deleted.outcome === 'refused' ? false : null;
    const said = (mayMove?.failure ?? refusal)?.message ?? null;
    const negotiates = tip === null ? null : await probeNegotiation(ctx, tip);
    const mayPublish = mayMove?.allowed ?? null;
    const found = { namespace, atomic, deletes, branch: mayPublish, negotiates, said, probedAt: ctx.clock.now() };
    return { outcome: 'probed', found: await learn(ctx, found) };
  }
  return {
    outcome: 'refused',
    failure: refusal ?? new Failure('remote-refused', { remote: ctx.remote.name, detail: '' }),
  };
}

/**
 * Can git ask the remote which of our commits it has? Then a push sends nothing again that was brought there before it.
 * `tip`: a commit that is there. Null: it is not here, or nobody answered.
 */
export async function probeNegotiation(ctx: LockContext, tip: string): Promise<boolean | null> {
  if ((await tryGit(ctx.root, ['cat-file', '-e', `${tip}^{commit}`])).exitCode !== 0) return null;
  const ask = ['fetch', '--quiet', '--negotiate-only', `--negotiation-tip=${tip}`, '--', ctx.remote.url];
  const asked = await tryGit(ctx.root, ['-c', 'protocol.version=2', ...ask], {
    timeoutMs: ctx.settings.network.timeoutMs,
    env: { ...ctx.connection },
    ...(ctx.signal ? { signal: ctx.signal } : {}),
  });
  if (asked.exitCode === 0) return asked.stdout.toString('utf8').includes(tip);
  // Then git hangs up, as if the connection had broken.
  if (/^(warning|fatal): .*(requires protocol v2|does not support wait-for-done)/m.test(asked.stderr)) return false;
  const { kind } = sortFailure(asked);
  return kind === 'transient' || kind === 'ambiguous' ? null : false;
}

/** Dots are encoded in the names of locks, so no branch's lock has this one. */
const probeRef = (ctx: LockContext, namespace: Namespace): string =>
  `${namespace}%2Eprobe-${ctx.owner.clone.slice(0, 8)}`;

type Place = { outcome: 'usable'; atomic: boolean; at: string } | Unreachable;

/** May a ref be made here, and moved on? Is a push that asks for all or nothing really so? */
async function tryPlace(ctx: LockContext, ref: string, old: string | null): Promise<Place> {
  const tree = await emptyTree(ctx);
  const first = await probeCommit(ctx, tree, old);
  const second = await probeCommit(ctx, tree, first);
  let atomic = true;
  let made = await swap(ctx, [{ ref, old, next: first }], { atomic });
  if (made.outcome === 'not-atomic') made = await swap(ctx, [{ ref, old, next: first }], { atomic: (atomic = false) });
  if (made.outcome !== 'done') return notUsable(made);
  const moved = await swap(ctx, [{ ref, old: first, next: second }], { atomic });
  if (moved.outcome !== 'done') return notUsable(moved);
  if (!atomic) return { outcome: 'usable', atomic, at: second };
  const third = await probeCommit(ctx, tree, second);
  await swap(ctx, [{ ref, old: second, next: third }, impossible(ref, third)], { atomic });
  const now = await remoteRefs(ctx, [ref]);
  if (now.outcome !== 'read') return now;
  const at = now.refs.get(ref) ?? second;
  return { outcome: 'usable', atomic: at === second, at };
}

/** No server can make a ref below another one: a push with it fails as a whole, after all its checks have been asked. */
const impossible = (ref: string, next: string) => ({ ref: `${ref}/x`, old: null, next });

/**
 * Would the branch be moved for us? An empty commit on top of it is pushed together with what cannot be done: a server
 * that forbids moving the branch says that first, and nothing is moved in either case.
 */
async function tryBranch(
  ctx: LockContext,
  probe: string,
  branch: string,
  tip: string,
): Promise<{ allowed: boolean; failure: Failure | null } | null> {
  const tree = await tryGit(ctx.root, ['rev-parse', '--verify', '--quiet', `${tip}^{tree}`]);
  if (tree.exitCode !== 0) return null; // the remote has what we have not fetched yet
  const next = await probeCommit(ctx, tree.stdout.toString('utf8').trim(), tip);
  const pushed = await swap(ctx, [{ ref: branch, old: tip, next }, impossible(probe, next)], { atomic: true });
  if (pushed.outcome === 'refused') return { allowed: false, failure: pushed.failure };
  return pushed.outcome === 'lost' ? { allowed: true, failure: null } : null;
}

async function probeCommit(ctx: LockContext, tree: string, parent: string | null): Promise<string> {
  const who = `oxenvcs <oxenvcs@localhost> ${Math.floor(ctx.clock.now() / 1000)} +0000`;
  const head = `tree ${tree}\n${parent === null ? '' : `parent ${parent}\n`}author ${who}\ncommitter ${who}\n`;
  const input = `${head}\nWhat does this remote allow? ${randomUUID()}\n`;
  return await writeObject(ctx.root, 'commit', input);
}

function notUsable(swapped: Exclude<Swapped, { outcome: 'done' }>): Unreachable {
  const { failure } = swapped;
  return swapped.outcome === 'refused' && swapped.kind === 'policy'
    ? { outcome: 'refused', failure }
    : { outcome: 'unreachable', failure };
}
