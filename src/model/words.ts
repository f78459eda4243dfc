/** `1 version`, `2 versions` */
export const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`;

/** `512 bytes`, `3.4 MB`, `480 MB`: to two digits or so, in thousands as disks are sold. */
export function size(bytes: number): string {
  const unit = ['bytes', 'kB', 'MB', 'GB', 'TB'];
  let [value, place] = [bytes, 0];
  while (value >= 999.5 && place + 1 < unit.length) [value, place] = [value / 1000, place + 1];
  return `${value < 9.95 && place > 0 ? value.toFixed(1) : Math.round(value)} ${unit[place]}`;
}

/** `Ann`, `Ann and Ben`, `Ann, Ben and Cleo`: each on one line, whatever it holds. */
export function listed(names: readonly string[]): string {
  const plain = names.map((name) => name.replace(/\p{Cc}+/gu, ' '));
  return plain.length < 2 ? plain.join('') : `${plain.slice(0, -1).join(', ')} and ${plain.at(-1) ?? ''}`;
}
