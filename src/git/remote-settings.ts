/**
 * What a person sets for one remote (`git config remote.<name>.proxy`), git heeds only where it is called with that name. We
 * call it with the address, for under its name it moves tracking refs past what a push of ours has just done. So what is
 * set is known by the address, and given to every git that talks to it.
 */
export interface RemoteSettings {
  /** Empty: none, whatever is set for others. */
  proxy?: string;
  proxyAuthMethod?: string;
  /** The programs on the other side, where they are in an unusual place. */
  uploadPack?: string;
  receivePack?: string;
}

const known = new Map<string, RemoteSettings>();

/** Asked of git so, with the remote's name. Exits with 1 where nothing is set. */
export const askSettings = (name: string): string[] => [
  'config',
  '--null',
  '--get-regexp',
  `^(remote\\.${name.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')}\\.(url|pushurl|proxy|proxyauthmethod|uploadpack|receivepack)|url\\..*\\.(pushinsteadof|insteadof))$`,
];

/** Git's answer, each setting with its value, in git's order. */
const settingsIn = (answer: string): [key: string, value: string][] =>
  answer
    .split('\0')
    .filter(Boolean)
    .map((line) => {
      const end = line.indexOf('\n');
      return end < 0 ? [line, ''] : [line.slice(0, end), line.slice(end + 1)];
    });

/**
 * The address that git would push to, by git's answer; null where git has to be asked for it: it rewrites addresses, or keeps
 * this one where it kept them of old.
 */
export function addressIn(answer: string): string | null {
  const settings = settingsIn(answer);
  const rewrites = settings.some(([key]) => /\.(push)?insteadof$/.test(key));
  const of = (ending: string) => settings.filter(([key]) => key.endsWith(ending)).map(([, value]) => value);
  const urls = [...of('.pushurl'), ...of('.url')];
  // A newer git takes an empty one for the end of those before it.
  return rewrites || urls.includes('') ? null : (urls[0]?.trim() ?? null);
}

/** Remembers git's answer. */
export function noteSettings(url: string, answer: string): void {
  const found: RemoteSettings = {};
  for (const [key, text] of settingsIn(answer)) {
    if (key.endsWith('.proxy')) found.proxy = text;
    if (key.endsWith('.proxyauthmethod')) found.proxyAuthMethod = text;
    if (key.endsWith('.uploadpack')) found.uploadPack = text;
    if (key.endsWith('.receivepack')) found.receivePack = text;
  }
  known.set(url, found);
}

export const settingsFor = (url: string): RemoteSettings => known.get(url) ?? {};

/** A remote of one call: git then moves the refs here that follow, without another process. */
export const remoteOfOneCall = (name: string, url: string): string => `remote.${name}.url=${url}`;

/** The call with what is set for the remote that it goes to. `at`: where in `args` the command is. `over`: the proxy instead. */
export function withRemoteSettings(
  args: readonly string[],
  at: number,
  over: string | undefined,
): { args: readonly string[]; env: Record<string, string> } {
  const url = args.map((arg) => arg.replace(/^remote\.[^=]*\.url=/, '')).find((arg) => known.has(arg));
  if (url === undefined) return { args, env: {} };
  const { proxy, proxyAuthMethod, uploadPack, receivePack } = settingsFor(url);
  const config = Object.entries({ proxy: over ?? proxy, proxyAuthMethod }).filter(([, value]) => value !== undefined);
  const program = args[at] === 'push' ? receivePack : uploadPack;
  const option = `--${args[at] === 'push' ? 'receive' : 'upload'}-pack=`;
  const isGiven = program === undefined || args.some((arg) => arg.startsWith(option));
  return {
    args: isGiven ? args : args.toSpliced(at + 1, 0, `${option}${program}`),
    // Not as options: an address may hold "=", and a password.
    env: Object.fromEntries([
      ['GIT_CONFIG_COUNT', String(config.length)],
      ...config.flatMap(([name, value = ''], i) => [
        [`GIT_CONFIG_KEY_${i}`, `http.${url}.${name}`],
        [`GIT_CONFIG_VALUE_${i}`, value],
      ]),
    ]) as Record<string, string>,
  };
}
