import { distance } from 'fastest-levenshtein';
import * as v from 'valibot';
import { Failure } from './failures.ts';

/**
 * The settings of a project. Three sources, the later wins: the team's `.oxenvcs/config.json`, the user's own file,
 * `OXENVCS_*` variables. The message of each check says what the key takes.
 */

const positive = (takes: string) =>
  v.pipe(
    v.number(takes),
    v.finite(takes),
    v.check((n) => n > 0, takes),
  );
const notNegative = (takes: string) => v.pipe(v.number(takes), v.finite(takes), v.minValue(0, takes));
const whole = (takes: string) => v.pipe(v.number(takes), v.integer(takes), v.minValue(0, takes));
const seconds = notNegative('a number of seconds, 0 or more');
const minutes = positive('a number of minutes above 0');
/** A year: a longer lease is a slip, and would lock the whole team out. */
export const maxHours = 8760;
const hours = v.pipe(
  positive(`a number of hours above 0, at most ${maxHours}`),
  v.maxValue(maxHours, `a number of hours above 0, at most ${maxHours}`),
);
const ms = positive('a number of milliseconds above 0');
const bytes = v.pipe(whole('a whole number of bytes above 0'), v.minValue(1, 'a whole number of bytes above 0'));
const onOff = v.boolean('true or false');
const name = v.pipe(v.string('a name'), v.nonEmpty('a name'));
/** Git's own rules (`git help check-ref-format`): it could never be checked out, and no save would be published. */
const branchName = v.pipe(
  name,
  v.check(
    // oxlint-disable-next-line no-control-regex -- they are what is looked for
    (text) => !/^[-/]|[/.]$|\.\.|\/\/|@\{|(^|\/)\.|\.lock(\/|$)|[\x00-\x20\x7f~^:?*[\\]/.test(text),
    'the name of a branch',
  ),
);

const sections = {
  watch: {
    quietSeconds: seconds,
    mediaQuietSeconds: seconds,
    minCommitGapSeconds: seconds,
    scanSeconds: positive('a number of seconds above 0'),
    mediaOnlyCommitMinutes: minutes,
    growingTakeHoldSeconds: seconds,
  },
  lock: {
    auto: onOff,
    leaseHours: hours,
    heartbeatMinutes: minutes,
    releaseAfterIdleMinutes: minutes,
    maxIdleHours: hours,
  },
  pull: { auto: onOff, pollSeconds: positive('a number of seconds above 0') },
  push: {
    auto: onOff,
    partSeconds: positive('a number of seconds above 0'),
    minPartBytes: bytes,
    maxPartBytes: bytes,
    maxBytesPerSecond: v.nullable(bytes),
    maxBlobBytes: v.union([v.literal('auto'), bytes], '"auto" or a whole number of bytes above 0'),
  },
  disk: { reserveBytes: whole('a whole number of bytes, 0 or more') },
  network: {
    maxRetries: whole('a whole number, 0 or more'),
    initialBackoffMs: ms,
    maxBackoffMs: ms,
    timeoutMs: ms,
    probeSeconds: positive('a number of seconds above 0'),
  },
};

const top = {
  v: v.pipe(v.number('a version number'), v.integer('a version number'), v.minValue(1, 'a version number')),
  remote: name,
  branch: branchName,
  daw: name,
};

const partial = v.strictObject({
  ...v.partial(v.object(top)).entries,
  watch: v.optional(v.strictObject(v.partial(v.object(sections.watch)).entries, 'a group of settings')),
  lock: v.optional(v.strictObject(v.partial(v.object(sections.lock)).entries, 'a group of settings')),
  pull: v.optional(v.strictObject(v.partial(v.object(sections.pull)).entries, 'a group of settings')),
  push: v.optional(v.strictObject(v.partial(v.object(sections.push)).entries, 'a group of settings')),
  disk: v.optional(v.strictObject(v.partial(v.object(sections.disk)).entries, 'a group of settings')),
  network: v.optional(v.strictObject(v.partial(v.object(sections.network)).entries, 'a group of settings')),
  // Reserved for what comes later: a teammate's newer oxenvcs may have written them.
  session: v.optional(v.unknown()),
  space: v.optional(v.unknown()),
  media: v.optional(v.unknown()),
});

type Section<S extends v.ObjectEntries> = v.InferOutput<v.ObjectSchema<S, undefined>>;
export type Config = Section<typeof top> & { [K in keyof typeof sections]: Section<(typeof sections)[K]> };
export type PartialConfig = v.InferOutput<typeof partial>;

export const defaults: Config = {
  v: 1,
  remote: 'origin',
  branch: 'main',
  daw: 'auto',
  watch: {
    quietSeconds: 3,
    mediaQuietSeconds: 15,
    minCommitGapSeconds: 10,
    scanSeconds: 60,
    mediaOnlyCommitMinutes: 10,
    growingTakeHoldSeconds: 120,
  },
  lock: { auto: true, leaseHours: 4, heartbeatMinutes: 10, releaseAfterIdleMinutes: 30, maxIdleHours: 12 },
  pull: { auto: true, pollSeconds: 60 },
  push: {
    auto: true,
    partSeconds: 20,
    minPartBytes: 1_048_576,
    maxPartBytes: 268_435_456,
    maxBytesPerSecond: null,
    maxBlobBytes: 'auto',
  },
  disk: { reserveBytes: 2_147_483_648 },
  network: { maxRetries: 5, initialBackoffMs: 1000, maxBackoffMs: 30_000, timeoutMs: 30_000, probeSeconds: 15 },
};

/** One source of settings: where it is from (a file's name, for messages) and its text. */
export interface Source {
  from: string;
  text: string;
}

/**
 * All sources over the defaults. `env` is the process's environment.
 * Throws `config-invalid` naming the source, the key, what it takes and, if near, what was meant.
 */
export function readConfig(sources: Source[], env: Record<string, string | undefined> = {}): Config {
  let config = defaults;
  for (const source of sources) config = merge(config, check(source.from, parse(source)));
  return merge(config, fromEnvironment(env));
}

function parse({ from, text }: Source): unknown {
  try {
    return JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch (cause) {
    throw new Failure('config-invalid', { file: from, detail: `it is not JSON (${(cause as Error).message})` }, cause);
  }
}

function check(from: string, value: unknown): PartialConfig {
  // An array is an object with a `push`, which is a setting.
  const result = v.safeParse(partial, Array.isArray(value) ? null : value);
  if (result.success) return result.output;
  const newer = typeof value === 'object' && value !== null && 'v' in value && Number(value.v) > defaults.v;
  const serious = newer ? result.issues.filter((issue) => !isUnknownKey(issue)) : result.issues;
  const [issue] = serious;
  if (issue) throw new Failure('config-invalid', { file: from, detail: explain(issue) });
  return v.parse(loose, value) as PartialConfig;
}

/** Under a newer version unknown keys are left alone. */
const loose = v.object(
  Object.fromEntries(Object.entries(partial.entries).map(([key, schema]) => [key, loosen(schema)])),
);
function loosen(schema: unknown): v.GenericSchema {
  const inner = (schema as { wrapped?: { type: string; entries: v.ObjectEntries } }).wrapped;
  return inner?.type === 'strict_object' ? v.optional(v.object(inner.entries)) : (schema as v.GenericSchema);
}

function isUnknownKey(issue: v.BaseIssue<unknown>): boolean {
  return issue.type === 'strict_object' && issue.expected === 'never';
}

function explain(issue: v.BaseIssue<unknown>): string {
  const path = v.getDotPath(issue) ?? '';
  if (!isUnknownKey(issue))
    return path === ''
      ? 'it must hold one JSON object'
      : `${path} takes ${issue.message}, not ${JSON.stringify(issue.input)}`;
  const meant = nearest(path);
  return `there is no setting ${JSON.stringify(path)}${meant === null ? '' : `; did you mean ${JSON.stringify(meant)}?`}`;
}

const allKeys = [
  ...Object.keys(top),
  ...Object.entries(sections).flatMap(([section, keys]) => [
    section,
    ...Object.keys(keys).map((k) => `${section}.${k}`),
  ]),
];

function nearest(key: string): string | null {
  let best: string | null = null;
  let least = Math.max(2, Math.floor(key.length / 4)) + 1;
  for (const known of allKeys) {
    // A key of the right name in the wrong place is as near as can be.
    const edits =
      known.split('.').at(-1) === key.split('.').at(-1) ? 0 : distance(known.toLowerCase(), key.toLowerCase());
    if (edits < least) [best, least] = [known, edits];
  }
  return best;
}

/** The settings by the variable that overrides each: `OXENVCS_WATCH_QUIET_SECONDS` is `watch.quietSeconds`. */
const variables = new Map(
  allKeys
    .filter((key) => !(key in sections))
    .map((key) => [
      `OXENVCS_${key
        .replace(/([A-Z])/g, '_$1')
        .replace('.', '_')
        .toUpperCase()}`,
      key,
    ]),
);
/** Variables of ours that are no settings: for people, and those by which we know our own. */
const otherVariables = ['SKIP', 'SERVICE', 'NOTIFY', 'PRIORITY', 'INTERNAL'].map((word) => `OXENVCS_${word}`);

/** Variables that look like ours and that nobody reads. */
export const unknownVariables = (env: Record<string, string | undefined>): string[] =>
  Object.keys(env).filter(
    (one) =>
      one.startsWith('OXENVCS_') && env[one] !== undefined && !variables.has(one) && !otherVariables.includes(one),
  );

/** One that is no setting may be anybody's; one that is nearly a setting was meant for us. */
function refuseMisspelled(env: Record<string, string | undefined>): void {
  for (const file of unknownVariables(env)) {
    const edits = (known: string) => distance(known, file.toUpperCase());
    const [meant = ''] = [...variables.keys()].toSorted((a, b) => edits(a) - edits(b));
    const length = file.length - 'OXENVCS_'.length;
    if (edits(meant) <= Math.max(1, Math.floor(length / 4)))
      throw new Failure('config-invalid', { file, detail: `there is no such setting; did you mean ${meant}?` });
  }
}

/** Values are JSON, or a plain word. */
function fromEnvironment(env: Record<string, string | undefined>): PartialConfig {
  refuseMisspelled(env);
  let config: PartialConfig = {};
  for (const [variable, key] of variables) {
    const text = env[variable];
    if (text === undefined) continue;
    let value: unknown = text;
    try {
      value = JSON.parse(text);
    } catch {
      value = text; // a plain word, such as a branch name
    }
    const [section, setting] = key.split('.');
    const one = setting === undefined ? { [key]: value } : { [section as string]: { [setting]: value } };
    config = merge(config, check(variable, one));
  }
  return config;
}

function merge<T extends PartialConfig>(under: T, over: PartialConfig): T {
  const result: Record<string, unknown> = { ...under };
  for (const [key, value] of Object.entries(over)) {
    const old = result[key];
    const group = typeof value === 'object' && value !== null && typeof old === 'object' && old !== null;
    if (value !== undefined) result[key] = group ? { ...old, ...value } : value;
  }
  return result as T;
}
