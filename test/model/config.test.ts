import { expect, test } from 'vitest';
import { tryGit } from '../../src/git/run.ts';
import { defaults, readConfig, unknownVariables } from '../../src/model/config.ts';
import { Failure } from '../../src/model/failures.ts';

const read = (text: string, env = {}) => readConfig([{ from: 'config.json', text }], env);

function refusal(text: string, env = {}): string {
  try {
    read(text, env);
  } catch (error) {
    if (error instanceof Failure && error.code === 'CONFIG_INVALID') return error.message;
    throw error;
  }
  throw new Error('it was accepted');
}

test('what is not set has its default, and a byte order mark does no harm', () => {
  expect(read('\uFEFF{"v":1,"watch":{"quietSeconds":0.2}}')).toEqual({
    ...defaults,
    watch: { ...defaults.watch, quietSeconds: 0.2 },
  });
});

test('later sources win, setting by setting: team, user, environment', () => {
  const sources = [
    { from: 'team', text: '{"v":1,"lock":{"leaseHours":2,"auto":false},"branch":"mix"}' },
    { from: 'user', text: '{"lock":{"leaseHours":3}}' },
  ];
  const config = readConfig(sources, { OXENVCS_LOCK_HEARTBEAT_MINUTES: '1', OXENVCS_BRANCH: 'dub', OXENVCS_SKIP: '1' });
  expect(config.lock).toEqual({ ...defaults.lock, leaseHours: 3, auto: false, heartbeatMinutes: 1 });
  expect(config.branch).toBe('dub');
});

test.each([
  ['{"watch":{"quietSecond":3}}', 'there is no setting "watch.quietSecond"; did you mean "watch.quietSeconds"?'],
  ['{"quietSeconds":3}', 'there is no setting "quietSeconds"; did you mean "watch.quietSeconds"?'],
  ['{"wach":{}}', 'there is no setting "wach"; did you mean "watch"?'],
  ['{"colour":"blue"}', 'there is no setting "colour"'],
  ['{"branch":"a b"}', 'branch takes the name of a branch, not "a b"'],
  ['{"watch":{"quietSeconds":"3"}}', 'watch.quietSeconds takes a number of seconds, 0 or more, not "3"'],
  ['{"watch":{"quietSeconds":-1}}', 'watch.quietSeconds takes a number of seconds, 0 or more, not -1'],
  ['{"lock":true}', 'lock takes a group of settings, not true'],
  ['{"push":{"maxBlobBytes":"big"}}', 'push.maxBlobBytes takes "auto" or a whole number of bytes above 0, not "big"'],
  ['{"push":{"minPartBytes":1.5}}', 'push.minPartBytes takes a whole number of bytes above 0, not 1.5'],
  ['[]', 'it must hold one JSON object'],
  ['"x"', 'it must hold one JSON object'],
])('a mistake in the settings is named with its cure: %s', (text, message) => {
  expect(refusal(text)).toBe(`config.json: ${message}${message.endsWith('?') ? '' : '.'}`);
});

test('a file that is not JSON is refused by name', () => {
  expect(refusal('{"v":1,')).toMatch(/^config\.json: it is not JSON \(.*\)\.$/);
});

test('a bad variable is refused by its name', () => {
  expect(refusal('{}', { OXENVCS_LOCK_LEASE_HOURS: 'long' })).toBe(
    'OXENVCS_LOCK_LEASE_HOURS: lock.leaseHours takes a number of hours above 0, at most 8760, not "long".',
  );
});

test('a newer version’s unknown settings are left alone, its bad values are not', () => {
  const config = read('{"v":2,"hologram":true,"watch":{"quietSeconds":1,"telepathy":9},"media":{"split":true}}');
  expect(config.watch.quietSeconds).toBe(1);
  expect(refusal('{"v":2,"watch":{"quietSeconds":"x"}}')).toContain('watch.quietSeconds takes');
});

test('a branch that git could never check out is refused, and no other: nothing would be published, without a word', async () => {
  const good = ['main', 'mix/second take', 'Söng-🎸', 'a.b', 'v1.lock.x', '@x'].map((name) =>
    name.replaceAll(' ', '-'),
  );
  const bad = [
    '-x',
    '/a',
    'a/',
    'a.',
    'a..b',
    'a//b',
    'a@{1}',
    '.a',
    'a/.b',
    'a.lock',
    'a.lock/b',
    'a\tb',
    'a~',
    'a^',
    'a:b',
    'a?',
    'a*',
    'a[',
    'a\\b',
    'a\u007f',
  ];
  for (const branch of [...good, ...bad]) {
    const { exitCode } = await tryGit('/', ['check-ref-format', '--branch', branch]);
    expect({ branch, isGood: exitCode === 0 }).toEqual({ branch, isGood: good.includes(branch) });
    const text = JSON.stringify({ branch });
    if (good.includes(branch)) expect(read(text).branch).toBe(branch);
    else expect(refusal(text)).toContain('the name of a branch');
  }
});

test.each(['OXENVCS_WATCH_QUIT_SECONDS', 'OXENVCS_BRANCHS', 'OXENVCS_lock_auto'])(
  'a variable that is nearly a setting, %s, is refused: it would be ignored in silence',
  (name) => expect(refusal('{}', { [name]: '5' })).toMatch(new RegExp(`^${name}: there is no such setting; did you`)),
);

test('variables that are no settings, ours or anybody’s, are left alone', () => {
  const env = { OXENVCS_SKIP: '1', OXENVCS_SERVICE: 'none', OXENVCS_DIR: '/songs', OXENVCS_LIBRARY: 'x', PATH: '/bin' };
  expect(read('{}', env)).toEqual(defaults);
  expect(unknownVariables(env)).toEqual(['OXENVCS_DIR', 'OXENVCS_LIBRARY']);
});
