// One bundle an entry: importing yargs and friends file by file costs a third of a second at every start.
import { build } from 'esbuild';

await build({
  entryPoints: ['src/main.ts', 'src/hook.ts', 'src/limit.ts', 'src/index.ts'],
  outdir: 'dist',
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  sourcemap: 'linked',
  logLevel: 'warning',
  // CommonJS packages inside an ES module bundle still ask for require().
  banner: {
    js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
  },
});
