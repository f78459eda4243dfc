/** One line of `git push --porcelain`: what became of one ref. */
export interface PushedRef {
  /** ` ` fast-forward · `+` forced · `-` deleted · `*` new · `=` was so already · `!` rejected. */
  flag: ' ' | '+' | '-' | '*' | '=' | '!';
  /** As it was asked for: a ref, an object id, `HEAD`; empty for a deletion. */
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

/** The reason of a rejection, without its brackets: `hook declined`. Empty where there is none. */
export function reasonOf({ summary }: Pick<PushedRef, 'summary'>): string {
  return /^\[[^\]]*\] \((.*)\)\s*$/.exec(summary)?.[1] ?? '';
}

/**
 * Why a ref was rejected. `lost`: somebody else moved it; `refused`: the remote does not allow it; `with-others`: only
 * because another ref of the atomic push failed; `unclear`: the server did not say what became of it.
 */
export function whyRejected(ref: PushedRef): 'lost' | 'refused' | 'with-others' | 'unclear' {
  const reason = reasonOf(ref);
  // The client's own refusals: the remote is not where it was thought to be.
  if (ref.summary.startsWith('[rejected]') && !/^atomic push failed$/.test(reason)) return 'lost';
  if (
    /^(failed to update ref|cannot lock ref\b.*|.*reference already exists|.*is at [0-9a-f]+ but expected [0-9a-f]+|incorrect old value provided)$/.test(
      reason,
    )
  )
    return 'lost';
  if (/^atomic (push failed|push failure|transaction failed)$/.test(reason)) return 'with-others';
  if (ref.summary.startsWith('[remote failure]') || reason === 'transaction failed to start') return 'unclear';
  return 'refused';
}
