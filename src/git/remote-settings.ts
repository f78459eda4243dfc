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
  `^remote\\.${name.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')}\\.(proxy|proxyauthmethod|uploadpack|receivepack)$`,
];

/** Remembers git's answer. */
export function noteSettings(url: string, answer: string): void {
  const found: RemoteSettings = {};
  for (const line of answer.split('\0')) {
    const [key = '', ...value] = line.split('\n');
    const text = value.join('\n');
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
