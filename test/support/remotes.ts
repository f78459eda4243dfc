import { type BareOptions, bareRepository, type Remote } from './bare.ts';

/** A remote over each way there is to reach one. See bare.ts, http-remote.ts and ssh-remote.ts. */
export { bareRepository, type Remote, serverHook } from './bare.ts';
export { httpRemote, isPush } from './http-remote.ts';
export { sshRemote } from './ssh-remote.ts';

/** A bare repository in a folder, as on a USB disk or a NAS. */
export async function fileRemote(options: BareOptions = {}): Promise<Remote> {
  const dir = await bareRepository(options);
  return { url: `file://${dir}`, dir, env: {}, stop: async () => {} };
}
