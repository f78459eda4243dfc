/**
 * How long a server asks to be left alone, and whether it is one of git's at all. Git does not say it (before 2.54 it does
 * not even look): it stands in the headers of the answer, which git can trace. They come on a channel of their own, with
 * credentials cut out by git, and no other header is kept.
 */

/** Longer than a day is a slip of the server's, ms. */
const longestMs = 86_400_000;

/**
 * The variables that make git trace headers to file descriptor 3; null where it cannot be had: Windows hands no further
 * channel on, and a person may be tracing.
 */
export function traceVariables(
  env: Record<string, string | undefined>,
  platform = process.platform,
): Record<string, string> | null {
  if (platform === 'win32' || env['GIT_TRACE_CURL'] !== undefined) return null;
  return { GIT_TRACE_CURL: '3', GIT_TRACE_CURL_NO_DATA: '1', GIT_TRACE_REDACT: '1' };
}

/** Reads the trace as it comes. `askedMs(now)`: what the last answer asked for, ms; null where it asked for nothing. */
export function listenToHeaders(): {
  take: (text: string) => void;
  askedMs: (now: number) => number | null;
  /** What the server's clock said, ms since 1970. */
  dateMs: () => number | null;
  /** Something answered, and nothing that did was a server of git's: it may be a page that wants a login. */
  isNoGit: () => boolean;
} {
  let rest = '';
  const heard = { answer: false, git: false };
  let answer = new Map<string, string>();
  const take = (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const [, header = ''] = /<= Recv header: (.*)/.exec(line) ?? [];
      if (header.startsWith('HTTP/')) {
        answer = new Map();
        heard.answer = true;
      }
      heard.git ||= /^content-type: *application\/x-git-/i.test(header);
      const [, name = '', value = ''] = /^(retry-after|date): *(.*?)\s*$/i.exec(header) ?? [];
      if (name !== '') answer.set(name.toLowerCase(), value);
    }
  };
  return {
    take,
    askedMs: (now) => retryAfterMs(answer.get('retry-after'), answer.get('date'), now),
    dateMs: () => httpDate(answer.get('date')) || null,
    isNoGit: () => heard.answer && !heard.git,
  };
}

/**
 * `Retry-After` in ms: a number of seconds, or a date, which counts from the server's own `Date` since the clocks may
 * differ. Null where there is none, or nobody can read it. Pure.
 */
export function retryAfterMs(value: string | undefined, date: string | undefined, now: number): number | null {
  if (value === undefined) return null;
  const ms = /^\d+$/.test(value) ? Number(value) * 1000 : httpDate(value) - (httpDate(date) || now);
  return Number.isNaN(ms) ? null : Math.min(longestMs, Math.max(0, ms));
}

/** `Tue, 24 Nov 2026 10:00:00 GMT`; Node itself would also take "-5" for a date. */
const httpDate = (text = ''): number => (text.endsWith(' GMT') ? Date.parse(text) : Number.NaN);
