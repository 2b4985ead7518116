// The error words of mail. They live in core, so that locks and files at the very bottom can speak them too.

export * from "../core/errors.ts";

/**
 * What failed first: where closing what was open fails too, the language wraps both in a SuppressedError (and its `suppressed` is what
 * failed before).
 */
export function firstOf(error: unknown): unknown {
  let first = error;
  while (first instanceof Error && first.name === "SuppressedError" && "suppressed" in first) first = first.suppressed;
  return first;
}
