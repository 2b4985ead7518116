// An mbox file of any size, written in pieces, and what its messages must be named by whoever splits it.

import { closeSync, openSync, writeSync } from "node:fs";
import { keyOf } from "./content.ts";
import { mailOf, mboxOf, type Profile, type Size } from "./mailboxes.ts";

export interface MboxFile {
  /** What is wrong with the line that floors/split.ts printed; undefined when all messages are there once. */
  difference(printed: string): string | undefined;
}

/** So many messages are made for a file that only has to be long: it has them again and again, which costs its reader the same. */
const MOST_MADE = 3200;

export function writeMbox(path: string, profile: Profile, size: Size, mayRepeat: boolean): MboxFile {
  const made = mayRepeat ? { ...size, messages: Math.min(size.messages, MOST_MADE) } : size;
  const seeds = [...mailOf(profile, made)];
  const block = Buffer.concat([...mboxOf(seeds)]);
  const rounds = Math.max(1, Math.round(size.messages / made.messages));
  const file = openSync(path, "w");
  for (let round = 0; round < rounds; round++)
    for (let at = 0; at < block.length; ) at += writeSync(file, block, at, block.length - at);
  closeSync(file);
  const sum = seeds.reduce((total, { bytes }) => (total + partOf(keyOf(Buffer.from(bytes)))) % 2 ** 48, 0);
  let all = 0;
  for (let round = 0; round < rounds; round++) all = (all + sum) % 2 ** 48;
  const expected = `${rounds * seeds.length} ${all}`;
  return {
    difference: (printed) =>
      printed.trim() === expected ? undefined : `messages and sum of keys are ${printed.trim()}, not ${expected}`,
  };
}

function partOf(key: string): number {
  return Number.parseInt(key.slice(0, 12), 16);
}
