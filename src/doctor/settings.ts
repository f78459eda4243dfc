import { unknownVariables } from '../model/config.ts';
import type { Failure } from '../model/failures.ts';
import { type Check, good, problem, remark } from './check.ts';

/** Do the settings hold, and does anything look like a setting that nobody reads? Pure. */
export function settingsChecks(broken: readonly Failure[], env: Record<string, string | undefined>): Check[] {
  const unread = unknownVariables(env);
  if (broken.length > 0)
    return broken.map(({ message, hint }) =>
      problem('settings', message, `${hint} Until then no command works here; then run \`oxenvcs doctor\` again.`),
    );
  if (unread.length === 0) return [good('settings', 'hold')];
  return [
    remark(
      'settings',
      `no setting has the name of ${unread.join(', ')}: nobody reads it`,
      'If it was meant to be one: the README shows how a setting is named in the environment.',
    ),
  ];
}
