// Traits and file names: what a name, the keyword table, the sidecar and the file's time say together, and the way back.

import { applyChange } from "../../mail/fidelity.ts";
import type { TraitChange, Traits } from "../../mail/model.ts";
import { FORWARDED, type Keywords } from "./keywords.ts";
import { flagsOf, infoOf, letterOf, parseFileName, parseOwn } from "./names.ts";
import { type Extra, NO_EXTRA, type Sidecar } from "./sidecar.ts";

const PASSED = "P";
const KEYWORD_LETTER = /[a-z]/;
/** Letters that this module writes; any other one in a name is somebody else's and stays. */
const OURS = /[DFPRSTa-z]/;

export interface Stores {
  /** Loaded. */
  readonly keywords: Keywords;
  readonly sidecar?: Sidecar;
}

/** The traits of a file; `mtimeMs` is its time. A letter without a meaning in dovecot-keywords has none here either. */
export async function traitsOfFile(fileName: string, mtimeMs: number, stores: Stores): Promise<Traits> {
  const { base, letters } = parseFileName(fileName);
  const extra = (await stores.sidecar?.get(base)) ?? NO_EXTRA;
  const own = parseOwn(base);
  const zone = own?.zoneMinutes;
  const epochSeconds = extra.received ?? own?.epochSeconds ?? Math.floor(mtimeMs / 1000);
  return {
    flags: flagsOf(letters),
    keywords: new Set(keywordsOfLetters(letters, stores.keywords, extra)),
    labels: new Set(extra.labels),
    received: { epochSeconds, ...(zone === undefined ? {} : { zoneMinutes: zone }) },
  };
}

function* keywordsOfLetters(letters: string, keywords: Keywords, extra: Extra): Generator<string> {
  const seen = new Set<string>();
  const fresh = (keyword: string): boolean => {
    const folded = keyword.toLowerCase();
    return !seen.has(folded) && seen.add(folded) !== undefined;
  };
  for (const letter of letters) {
    const name = KEYWORD_LETTER.test(letter) ? keywords.nameOf(letter) : letter === PASSED ? FORWARDED : undefined;
    if (name !== undefined && fresh(name)) yield name;
  }
  for (const name of extra.keywords) if (fresh(name)) yield name;
}

export interface Held {
  /** Of the file name, in no order. */
  readonly letters: string;
  /** Undefined: nothing that needs the sidecar. */
  readonly extra?: Extra;
}

/** The letters of traits that need nothing else: no sidecar, and no keyword that has no letter yet. */
export function plainLetters(
  { flags, keywords, labels }: Omit<Traits, "received">,
  table: Keywords,
): string | undefined {
  if (labels.size > 0) return undefined;
  let letters = "";
  for (const flag of flags) letters += letterOf(flag);
  for (const keyword of keywords) {
    const letter = table.letterOf(keyword);
    if (letter === undefined) return undefined;
    letters += keyword.toLowerCase() === FORWARDED.toLowerCase() ? PASSED + letter : letter;
  }
  return letters;
}

/**
 * How traits are written. `$Forwarded` is P, which mutt and others read, and a keyword for Dovecot. Keywords that have no letter after
 * `ensure` lie in the sidecar.
 */
export async function holdTraits(traits: Omit<Traits, "received">, keywords: Keywords): Promise<Held> {
  let letters = "";
  for (const flag of traits.flags) letters += letterOf(flag);
  if (traits.keywords.size > 0) await keywords.ensure(traits.keywords);
  const others: string[] = [];
  for (const keyword of traits.keywords) {
    const isForwarded = keyword.toLowerCase() === FORWARDED.toLowerCase();
    if (isForwarded) letters += PASSED;
    const letter = keywords.letterOf(keyword);
    if (letter !== undefined) letters += letter;
    else if (!isForwarded) others.push(keyword);
  }
  if (others.length === 0 && traits.labels.size === 0) return { letters };
  return { letters, extra: { keywords: others, labels: [...traits.labels] } };
}

/** A file after a change of its traits: the name it must get, and its new sidecar record where that differs from the old one. */
export async function changedFile(
  fileName: string,
  change: TraitChange,
  stores: Stores,
): Promise<{ name: string; base: string; extra?: Extra }> {
  const { base, letters } = parseFileName(fileName);
  await stores.keywords.load();
  const before = (await stores.sidecar?.get(base)) ?? NO_EXTRA;
  const now = {
    flags: flagsOf(letters),
    keywords: new Set(keywordsOfLetters(letters, stores.keywords, before)),
    labels: new Set(before.labels),
  };
  const held = await holdTraits(applyChange(now, change), stores.keywords);
  // Letters that mean nothing to us belong to another program.
  const foreign = [...letters].filter(
    (letter) => !OURS.test(letter) || (KEYWORD_LETTER.test(letter) && stores.keywords.nameOf(letter) === undefined),
  );
  const name = base + infoOf(held.letters + foreign.join(""));
  const after: Extra = {
    ...(held.extra ?? NO_EXTRA),
    ...(before.received === undefined ? {} : { received: before.received }),
  };
  const isSame = same(before.keywords, after.keywords) && same(before.labels, after.labels);
  return { name, base, ...(isSame ? {} : { extra: after }) };
}

function same(a: readonly string[], b: readonly string[]): boolean {
  const set = new Set(a);
  return set.size === new Set(b).size && b.every((item) => set.has(item));
}
