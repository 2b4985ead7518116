// An iteration whose first step is taken before anybody asks for it.

/**
 * The same items; the first one is asked for at once. To be iterated once, or ended by its iterator's `return`: what failed
 * meanwhile is thrown there and then.
 */
export function pulled<T>(items: AsyncIterable<T>): AsyncIterable<T> {
  const steps = items[Symbol.asyncIterator]();
  let first: Promise<IteratorResult<T>> | undefined = steps.next();
  first.catch(() => undefined);
  const iterator: AsyncIterator<T> = {
    next() {
      const step = first ?? steps.next();
      first = undefined;
      return step;
    },
    return: async (value) => (await steps.return?.(value)) ?? { done: true, value },
  };
  return { [Symbol.asyncIterator]: () => iterator };
}
