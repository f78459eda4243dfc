import { pull as bringIn } from '../sync/pull.ts';
import { finishCheckout } from '../checkout/checkout.ts';
import { findDaw } from '../setup/find-daw.ts';
import { command } from './command.ts';
import { counted } from './format.ts';
import { withRetries } from './retries.ts';

export const pull = command({
  words: 'pull',
  describe: 'Bring in what the team has published, where that is safe',
  options: (argv) => argv,
  async run(_, context) {
    const project = await context.project();
    const daw = await findDaw(project.root, project.config.daw);
    // Also without a network.
    await finishCheckout(project);
    const { value } = await withRetries(
      project,
      context,
      'pull',
      async () => await bringIn(project, daw, context.signal),
    );
    return {
      data: { ...value, branch: project.config.branch },
      lines: [
        value.pulled === 0
          ? 'Nothing new: you have all that the team has published.'
          : `${counted(value.pulled, 'version')} brought in.`,
      ],
    };
  },
});
