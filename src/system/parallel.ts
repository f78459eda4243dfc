/**
 * Maps over many items, `width` of them at once, so that the disk works while we wait. Results are in the items' order.
 * After an error nothing new is begun; it is thrown when what was under way has ended.
 */
export async function inParallel<T, R>(items: readonly T[], fn: (item: T) => Promise<R>, width = 16): Promise<R[]> {
  const results: R[] = [];
  const errors: unknown[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let i = next++; i < items.length && errors.length === 0; i = next++)
      results[i] = await fn(items[i] as T).catch((error: unknown) => {
        errors.push(error);
        return undefined as R;
      });
  };
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, worker));
  if (errors.length > 0) throw errors[0];
  return results;
}
