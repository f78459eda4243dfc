/**
 * How many rounds of a game of chance: the suite plays a tenth, `npm run chaos` all.
 */
export const rounds = (all: number): number => Math.ceil(process.env['CHAOS'] === 'all' ? all : all / 10);
