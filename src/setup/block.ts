const begin = '# oxenvcs: begin';
const end = '# oxenvcs: end';

/**
 * A text file of the user's with a block of our own lines in it: appended once, then replaced where it stands. All
 * other lines stay as they are, byte for byte. Pure; doing it twice is the same as once.
 */
export function withBlock(text: string, lines: readonly string[]): string {
  const eol = text.includes('\r\n') ? '\r\n' : '\n';
  const block = [`${begin} (kept up to date by oxenvcs; your own lines go above or below)`, ...lines, end].join(eol);
  const found = findBlock(text);
  if (found !== null) return text.slice(0, found.from) + block + text.slice(found.to);
  if (text === '') return block + eol;
  return `${text}${text.endsWith('\n') ? '' : eol}${eol}${block}${eol}`;
}

/** The text without our block and the empty line that came with it. */
export function withoutBlock(text: string): string {
  const found = findBlock(text);
  if (found === null) return text;
  const before = text.slice(0, found.from).replace(/(^|\n)\r?\n$/, '$1');
  return before + text.slice(found.to).replace(/^\r?\n/, '');
}

function findBlock(text: string): { from: number; to: number } | null {
  const last = /^# oxenvcs: end[ \t]*(?=\r?$)/m.exec(text);
  if (last === null) return null;
  // The begin next to the end: one without an end of its own, left by an edit, must not swallow the lines between.
  const from = text.lastIndexOf(begin, last.index);
  if (from < 0 || (from > 0 && text[from - 1] !== '\n')) return null;
  return { from, to: last.index + last[0].length };
}
