import type { PushedRef } from '../git/porcelain.ts';

/** Which setting of a server a refusal comes from, by what git or the host says. The first that fits counts. */
const settings: [RegExp, string][] = [
  [/branch is currently checked out/, 'receive.denyCurrentBranch (the remote is not a bare repository)'],
  [/deny updating a hidden ref/, 'receive.hideRefs or transfer.hideRefs'],
  [/deletion prohibited/, 'receive.denyDeletes'],
  [/\(non-fast-forward\)/, 'receive.denyNonFastForwards'],
  [/protected branch|can only be modified through pull requests|GH006|GH013|repository rule/i, 'branch protection'],
  [/quota|over (the|its) limit|too large|GH001/i, 'a limit of size'],
  [/hook declined/, 'a hook on the server'],
];

/**
 * Why the remote refused a ref: the setting, as far as it can be told, and the server's own words ("remote: error: GH006:
 * Protected branch update failed").
 */
export function refusal(refused: PushedRef | undefined, stderr: string): string {
  const said = stderr
    .split(/\r?\n|\r/)
    .map((line) => /^remote: (?:error: |fatal: )?(.*\S)/.exec(line)?.[1])
    .find(
      (line) => line !== undefined && !/^(Resolving|Counting|Compressing|Unpacking|Total|Enumerating)\b/.test(line),
    );
  const summary = refused?.summary ?? '';
  const setting = settings.find(([pattern]) => pattern.test(`${summary} ${said ?? ''}`))?.[1];
  const words = said === undefined ? summary : `${said} ${summary}`;
  return setting === undefined ? words : `${setting} forbids it: ${words}`;
}
