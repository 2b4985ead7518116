// Events as lines of JSON, a stable shape: camelCase keys, sets as sorted arrays, errors as { code, message, hint }.

import { MailError } from "../mail/errors.ts";

/** One event as a line without its line end. Characters that break lines or drive terminals are escaped by JSON itself. */
export function jsonLine(event: object): string {
  return escapeRest(JSON.stringify(toPlain(event)));
}

/** An error for the outside: what happened and what to do. A stack or cause may hold what nobody should see. */
export function errorShape(error: unknown): { code: string; message: string; hint?: string } {
  if (error instanceof MailError) {
    const { hint } = error.details;
    return { code: error.code, message: error.message, ...(hint === undefined ? {} : { hint }) };
  }
  return { code: "bug", message: error instanceof Error ? error.message : String(error) };
}

/** Plain data of the same meaning: what JSON can hold and a script can read. */
export function toPlain(value: unknown): unknown {
  if (value instanceof Error) return errorShape(value);
  if (value instanceof Set) return [...value].map(toPlain).sort();
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? undefined : value.toISOString();
  if (Array.isArray(value)) return value.map(toPlain);
  if (typeof value !== "object" || value === null) return value;
  const plain: Record<string, unknown> = {};
  for (const key of Object.keys(value)) {
    const inner: unknown = value[key as keyof typeof value];
    if (inner !== undefined) plain[camelCase(key)] = toPlain(inner);
  }
  return plain;
}

/** "already-copied" as a key is alreadyCopied. */
function camelCase(key: string): string {
  return key.includes("-") ? key.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase()) : key;
}

// JSON.stringify leaves DEL, C1 and the line separators as they are.
function escapeRest(text: string): string {
  return text.replace(
    /[\u007f-\u009f\u2028\u2029]/g,
    (char) => `\\u${(char.codePointAt(0) ?? 0).toString(16).padStart(4, "0")}`,
  );
}
