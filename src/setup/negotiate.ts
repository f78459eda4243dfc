import { git, tryGit } from '../git/run.ts';
import { localSetting } from './settings.ts';

/** Git asks the remote what it has before it pushes: then what the hook pre-push has brought there is not sent again. */
export const negotiation = { key: 'push.negotiate', value: 'true' };

/** Has git do so in this repository, where the remote can answer; what the user has set stays. Null: that is not known yet. */
export async function letNegotiate(root: string, negotiates: boolean | null): Promise<void> {
  const { key, value } = negotiation;
  const now = await localSetting(root, key);
  if (negotiates === true && now === null) await git(root, ['config', '--local', key, value]);
  // A remote that was moved, or has nothing yet: git would only complain at each push. A later one finds out what is not known.
  if (negotiates !== true && now === value) await tryGit(root, ['config', '--local', '--unset', key]);
}

/** Will a `git push` in this repository ask? */
export async function isNegotiating(root: string): Promise<boolean> {
  const asked = await tryGit(root, ['config', '--type=bool', '--get', negotiation.key]);
  return asked.stdout.toString('utf8').trim() === 'true';
}
