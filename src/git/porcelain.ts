/** One line of `git push --porcelain`: what became of one ref. */
export interface PushedRef {
  /** ` ` fast-forward · `+` forced · `-` deleted · `*` new · `=` was so already · `!` rejected. */
  flag: ' ' | '+' | '-' | '*' | '=' | '!';
  from: string;
  to: string;
  /** Git's summary, for a rejection with its reason: `[remote rejected] (hook declined)`. */
  summary: string;
}

/** The ref lines of `git push --porcelain`. Pure; lines that are not such are left out. */
export function parsePush(stdout: string): PushedRef[] {
  const refs: PushedRef[] = [];
  for (const line of stdout.split('\n')) {
    const match = /^([ +\-*=!])\t([^\t]*):([^\t:]*)\t(.*)$/.exec(line);
    if (match)
      refs.push({
        flag: match[1] as PushedRef['flag'],
        from: match[2] ?? '',
        to: match[3] ?? '',
        summary: match[4] ?? '',
      });
  }
  return refs;
}

/** Why a ref was rejected. `lost`: somebody else moved it; `refused`: the remote does not allow it; `with-others`: only because another ref of the atomic push failed. */
export function whyRejected({ summary }: PushedRef): 'lost' | 'refused' | 'with-others' {
  const reason = /\((.*)\)\s*$/.exec(summary)?.[1] ?? '';
  if (/^(stale info|fetch first|needs force|incorrect old value provided)$/.test(reason)) return 'lost';
  if (
    /^(failed to update ref|cannot lock ref\b.*|.*reference already exists|.*is at [0-9a-f]+ but expected [0-9a-f]+)$/.test(
      reason,
    )
  )
    return 'lost';
  if (/^atomic (push failed|transaction failed)$/.test(reason)) return 'with-others';
  return 'refused';
}
