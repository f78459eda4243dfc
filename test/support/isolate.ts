import * as fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll } from 'vitest';

/** Each test file gets a home of its own, so that nothing of the person's is read, nor anything left behind. */
const home = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'oxenvcs-home-')));
// Nor a proxy or an SSH agent used.
for (const name of Object.keys(process.env))
  if (/^(GIT_|OXENVCS_|XDG_|SSH_)|_proxy$/i.test(name)) delete process.env[name];
Object.assign(process.env, {
  HOME: home,
  USERPROFILE: home,
  XDG_CONFIG_HOME: path.join(home, '.config'),
  XDG_DATA_HOME: path.join(home, '.local', 'share'),
  XDG_RUNTIME_DIR: home,
  GIT_CONFIG_NOSYSTEM: '1',
  NO_COLOR: '1',
  // Nothing is started with the person's session, nor shown on their screen.
  OXENVCS_SERVICE: 'none',
  OXENVCS_NOTIFY: 'none',
});
fs.writeFileSync(
  path.join(home, '.gitconfig'),
  '[user]\n\tname = Ann\n\temail = ann@band.example\n[init]\n\tdefaultBranch = main\n',
);

afterAll(() => fs.rmSync(home, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }));
