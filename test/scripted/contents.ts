// What the suites compare: contents by folder, as content keys.

import { expect } from "vitest";
import { countCompared } from "../kit/counts.ts";

export function letter(id: string): string {
  return `Message-ID: <${id}@example.org>\r\nSubject: ${id}\r\n\r\n${id.repeat(7)}\r\n`;
}

export function shown(path: readonly string[]): string {
  return path.join("/");
}

/** A line a message: its folder and its key. */
export const flat = (all: ReadonlyMap<string, readonly string[]>): string[] =>
  [...all].flatMap(([name, keys]) => keys.map((key) => `${name} ${key}`));

/** What these folders hold, as wanted and as held, is the same; counted before it is asserted. */
export function expectSame(
  wanted: ReadonlyMap<string, readonly string[]>,
  held: ReadonlyMap<string, readonly string[]>,
): void {
  countCompared(flat(wanted), flat(held));
  expect(new Map(held)).toEqual(new Map(wanted));
}

export function only(all: ReadonlyMap<string, string[]>, names: Iterable<string>): Map<string, string[]> {
  return new Map([...names].flatMap((name) => (all.has(name) ? [[name, all.get(name) ?? []] as const] : [])));
}

/** Whether `part` holds nothing that `whole` does not, nor anything more often. */
export function isPartOf(part: readonly string[], whole: readonly string[]): boolean {
  const left = [...whole];
  return part.every((key) => {
    const at = left.indexOf(key);
    if (at >= 0) left.splice(at, 1);
    return at >= 0;
  });
}
