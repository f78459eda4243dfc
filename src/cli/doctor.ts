import { examine, mend } from '../doctor/examine.ts';
import { defaults } from '../model/config.ts';
import { brokenSettings, findRoot, openProject } from '../project/project.ts';
import { command } from './command.ts';

export const doctor = command({
  words: 'doctor',
  describe: 'Everything that could stop it from working here, each with its cure',
  options: (argv) =>
    argv.option('fix', { type: 'boolean', default: false, describe: 'Do at once what can do no harm' }),
  async run({ fix }, context) {
    const root = await findRoot(context.folder());
    const broken = await brokenSettings(root);
    const project = await openProject(root, broken.length > 0 ? defaults : undefined);
    const look = async () => await examine(project, broken, context.clock, context.signal);
    let checks = await look();
    const fixed = fix ? await mend(checks) : [];
    if (fixed.length > 0) checks = await look();
    const problems = checks.filter(({ ok, severity }) => !ok && severity === 'problem').length;
    const remarks = checks.filter(({ ok, severity }) => !ok && severity === 'remark').length;
    const mendable = checks.some(({ ok, fix }) => !ok && fix !== undefined);
    return {
      data: {
        ok: problems === 0,
        checks: checks.map(({ fix, ...shown }) => ({ ...shown, mendable: fix !== undefined })),
        fixed,
      },
      lines: [
        ...fixed.map((name) => `Mended: ${name}`),
        ...checks.flatMap(({ ok, severity, name, message, hint }) => [
          `${ok ? '✓' : severity === 'problem' ? '✗' : '⚠'} ${name}: ${message}`,
          ...(hint === null ? [] : [`    ${hint}`]),
        ]),
        problems > 0 ? 'See to what is marked ✗.' : remarks > 0 ? 'It works; see what is marked ⚠.' : 'All is well.',
        ...(mendable && !fix ? ['Some of it can be mended at once: oxenvcs doctor --fix'] : []),
      ],
      exitCode: problems === 0 ? 0 : (broken[0]?.exitCode ?? 1),
    };
  },
});
