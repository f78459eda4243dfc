const begin = '# oxenvcs: begin';
const end = '# oxenvcs: end';

/**
 * A text file of the user's with a block of our own lines in it: appended once, then replaced where it stands. All
 * other lines stay as they are, byte for byte. Pure; doing it twice is the same as once.
 */
export function withBlock(text: string, lines: readonly string[]): string {
  const eol = /\r(\n|$)/.test(text) ? '\r\n' : '\n';
  const block = [`${begin} (kept up to date by oxenvcs; your own lines go above or below)`, ...lines, end].join(eol);
  const found = findBlock(text);
  if (found !== null) return text.slice(0, found.from) + block + text.slice(found.to);
  if (text === '') return block + eol;
  return `${text}${text.endsWith('\n') ? '' : eol}${eol}${block}${eol}`;
}

/** The same text without our block and the empty line that came with it: as it was before. Pure. */
export function withoutBlock(text: string): string {
  const found = findBlock(text);
  if (found === null) return text;
  const before = text.slice(0, found.from).replace(/(\r?\n)\r?\n$/, '$1');
  return before + text.slice(found.to).replace(/^\r?\n/, '');
}

/** From a begin to the end next to it: one that lost its partner in an edit must not swallow the lines between. */
function findBlock(text: string): { from: number; to: number } | null {
  let from: number | null = null;
  let at = 0;
  for (const line of text.split('\n')) {
    if (line.startsWith(begin)) from = at;
    if (line.trimEnd() === end && from !== null) return { from, to: at + end.length };
    at += line.length + 1;
  }
  return null;
}
