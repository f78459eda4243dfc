/** What a host says when one file of a push is larger than it takes. Only hooks of hosts say so: git itself has no such limit. */
const sentences: RegExp[] = [
  // GitHub
  /^error: File .* is [\d.,]+ [KMGT]B; this exceeds .*'s file size limit of ([\d.,]+ [KMGT]B)$/,
  // GitLab: the instance's limit, and a project's push rule
  /^GitLab: You are attempting to check in one or more blobs which exceed the ([\d.,]+ ?[KMGT]iB) limit:?/,
  /^GitLab: File ".*" is larger than the allowed size of ([\d.,]+ [KMGT]i?B)\b/,
  // Bitbucket
  /\bat least one file that is ([\d.,]+ [KMGT]B) or larger\b/,
  // Hooks that people write themselves
  /\b(?:file|blob)s?\b.*\b(?:too large|too big|size limit|larger than)\b/i,
];

const factors: Record<string, number> = { K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };

/**
 * Finds the sentence about a too large file among a server's lines (without "remote: "), and the largest size in bytes that
 * it takes; `bytes` is null where it names none. Hosts mean MiB when they say MB. Pure.
 */
export function fileLimitIn(lines: readonly string[]): { line: string; bytes: number | null } | null {
  for (const pattern of sentences)
    for (const line of lines) {
      const match = pattern.exec(line);
      if (match === null) continue;
      const size = /^([\d.,]+) ?([KMGT])/.exec(match[1] ?? '');
      const bytes = Math.floor(Number((size?.[1] ?? '').replace(',', '.')) * (factors[size?.[2] ?? ''] ?? Number.NaN));
      return { line, bytes: Number.isSafeInteger(bytes) && bytes > 0 ? bytes : null };
    }
  return null;
}
