import { commitSave } from '../../src/commit/commit.ts';
import { openProject } from '../../src/project/project.ts';
import { saveOf } from '../../test/support/project.ts';

/**
 * Makes a version of the takes that are named, in a process of its own as the watcher is one, and prints how long that took (ms):
 * `PROJECT TAKE…`. In the bench itself, with all that it holds in memory, each git would take longer to start.
 */
const [root = '', ...settled] = process.argv.slice(2);
const project = await openProject(root);
const save = await saveOf(project, { settled });
const start = performance.now();
const { outcome } = await commitSave(project, save);
if (outcome !== 'committed') throw new Error(outcome);
process.stdout.write(String(performance.now() - start));
