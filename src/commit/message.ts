import { packageOf } from '../daw/match.ts';
import { isMedia } from '../daw/media.ts';

/** What a version changes, as `git diff-tree --name-status` says it. */
export interface Difference {
  status: 'added' | 'changed' | 'deleted';
  path: string;
}

/** Reads `--name-status -z --no-renames`. Pure. */
export function differencesIn(text: string): Difference[] {
  const fields = text.split('\0');
  const differences: Difference[] = [];
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const status = fields[i] === 'A' ? 'added' : fields[i] === 'D' ? 'deleted' : 'changed';
    differences.push({ status, path: fields[i + 1] ?? '' });
  }
  return differences;
}

/**
 * The commit message of a save, for people: "Song.als saved; 2 new takes". `sessions` are the session files among the
 * differences. Takes that were left out while they grew are named in `Incomplete:` trailers.
 */
export function saveMessage(
  differences: Difference[],
  sessions: readonly string[],
  incomplete: readonly string[],
  toFollow: readonly string[] = [],
): string {
  const isSession = new Set(sessions);
  const saved = differences.filter(({ path, status }) => isSession.has(path) && status !== 'deleted');
  const rest = differences.filter((difference) => !saved.includes(difference));
  const of = (status: Difference['status'], media: boolean) =>
    rest.filter((one) => one.status === status && isMedia(one.path) === media).length;
  const parts = [
    saved.length > 0 && `${listed([...new Set(saved.map(({ path }) => sessionName(path)))])} saved`,
    counted(of('added', true), 'new take'),
    counted(of('changed', true), 'changed take'),
    counted(of('deleted', true), 'removed take'),
    counted(of('added', false), 'new file'),
    counted(of('changed', false), 'changed file'),
    counted(of('deleted', false), 'removed file'),
  ].filter((part) => part !== false);
  const [first, ...more] = parts;
  // Beside a saved session the small files of the DAW are no news.
  const told =
    saved.length > 0 ? [first, ...more.filter((part) => !part.endsWith('file') && !part.endsWith('files'))] : parts;
  const subject = told.join('; ') || 'Saved';
  const lacking = [...incomplete, ...toFollow];
  if (lacking.length === 0) return `${subject}\n`;
  const why = incomplete.length > 0 ? 'recording goes on' : `${counted(toFollow.length, 'take')} to follow`;
  return withTrailers(`${subject}; ${why}\n`, lacking.map(incompleteLine));
}

/** The trailer for a file that a version lacks. */
export const incompleteLine = (path: string): string => `Incomplete: ${plain(path)}`;

/** A commit message with these trailers, as far as it does not have them yet. */
export function withTrailers(message: string, lines: readonly string[]): string {
  const has = new Set(message.split('\n'));
  const missing = lines.filter((line) => !has.has(line));
  if (missing.length === 0) return message;
  const body = message.trimEnd();
  const hasTrailers = body.slice(body.lastIndexOf('\n') + 1).startsWith('Incomplete: ');
  return `${body}\n${hasTrailers ? '' : '\n'}${missing.join('\n')}\n`;
}

function counted(count: number, what: string): string | false {
  return count > 0 && `${count} ${what}${count === 1 ? '' : 's'}`;
}

function listed(names: string[]): string {
  if (names.length > 3) return `${names.length} sessions`;
  return names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
}

/** As the musician knows it: of a package the whole, not what the DAW calls the files in it. */
const sessionName = (path: string): string => plain((packageOf(path) ?? path).split('/').at(-1) ?? path);

/** A name on one line: a newline in a file's name must not end the subject or forge a trailer. */
function plain(name: string): string {
  return name.replace(/\p{Cc}+/gu, ' ');
}
