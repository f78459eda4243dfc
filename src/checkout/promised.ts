import { gitFailure } from '../git/failures.ts';
import { patientFetch } from '../git/patient-fetch.ts';
import { git, gitLine, redact, tryGit } from '../git/run.ts';
import type { TreeChange } from '../git/tree.ts';
import { away } from '../network/away.ts';
import type { Project } from '../project/project.ts';

/**
 * In a partial clone, files that nobody needed yet are only promised by the remote. Git would fetch each when it comes to it,
 * with a connection of its own, and stop half-way when the network goes: so what `commit` needs of them is brought before,
 * in one. Throws `offline`, `auth`…
 */
export async function bringPromised(
  { root, config }: Project,
  commit: string,
  changes: readonly TreeChange[],
): Promise<void> {
  const promisor = await promisorOf(root);
  if (promisor === null) return;
  const wanted = new Set(changes.flatMap(({ next }) => (next === null ? [] : [next.oid])));
  const listing = ['rev-list', '--objects', '--no-object-names', '--missing=print', '--no-walk', commit, '--'];
  const absent = (await git(root, listing))
    .split('\n')
    .flatMap((line) => (line.startsWith('?') && wanted.has(line.slice(1)) ? [line.slice(1)] : []));
  if (absent.length === 0) return;
  const quietMs = 10 * config.network.timeoutMs;
  const args = [
    ...patientFetch(quietMs, ['fetch.negotiationAlgorithm=noop']),
    // As git itself fetches what was promised: else it would come with all that hangs on it.
    '--filter=blob:none',
    '--stdin',
    '--',
    promisor,
  ];
  const result = await tryGit(root, args, { idleMs: quietMs, input: absent.map((id) => `${id}\n`).join('') });
  if (result.exitCode === 0) return;
  const url = await gitLine(root, ['remote', 'get-url', promisor]);
  throw await away(gitFailure(result, args, redact(url), root), { root, remote: { url } });
}

/** The remote that has promised files; null: everything is here. */
async function promisorOf(root: string): Promise<string | null> {
  const told = await tryGit(root, ['config', '--null', '--get-regexp', '^remote\\..*\\.promisor$']);
  const lines = told.stdout.toString('utf8').split('\0');
  return lines.flatMap((line) => /^remote\.(.*)\.promisor\n(?:true|1|yes|on)$/.exec(line)?.[1] ?? [])[0] ?? null;
}
