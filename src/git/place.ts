import path from 'node:path';
import { git } from './run.ts';

/** Where a repository keeps what, and how it names objects. Cannot change while it is used: git is asked once a process. */
export interface Place {
  /** The Git folder with branches and objects; of a linked work tree that of the main one. */
  common: string;
  hash: 'sha1' | 'sha256';
}

const places = new Map<string, Promise<Place>>();

export async function placeOf(root: string): Promise<Place> {
  const known = places.get(root) ?? ask(root);
  places.set(root, known);
  // What cannot be asked now is asked again next time.
  known.catch(() => places.delete(root));
  return await known;
}

async function ask(root: string): Promise<Place> {
  const told = await git(root, ['rev-parse', '--show-object-format', '--git-common-dir']);
  const [hash = '', ...common] = told.replace(/\r?\n$/, '').split('\n');
  // A folder's name may hold a line break.
  return { common: path.resolve(root, common.join('\n')), hash: hash.trim() === 'sha256' ? 'sha256' : 'sha1' };
}
