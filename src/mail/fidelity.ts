// The only place where a trait is dropped: what a folder can keep, and what is lost by it.

import type { FolderPath, SystemFlag, TraitChange, Traits } from "./model.ts";
import { SYSTEM_FLAGS } from "./model.ts";

export interface Fidelity {
  readonly flags: ReadonlySet<SystemFlag>;
  /** "any", or the keywords (in lower case) that alone are kept. */
  readonly keywords: "any" | ReadonlySet<string>;
  readonly labels: boolean;
  readonly received: boolean;
  readonly maxBytes?: number;
}

export type Loss =
  | { readonly kind: "flag" | "keyword" | "label"; readonly name: string }
  /** `absurd`: what the source gives can be no date; the header's was taken. */
  | { readonly kind: "received"; readonly absurd?: true }
  | { readonly kind: "folder-name"; readonly from: FolderPath; readonly to: string };

export const FULL_FIDELITY: Fidelity = { flags: new Set(SYSTEM_FLAGS), keywords: "any", labels: true, received: true };

export const NO_FIDELITY: Fidelity = { flags: new Set(), keywords: new Set(), labels: false, received: false };

function keepsKeyword(fidelity: Fidelity, keyword: string): boolean {
  return fidelity.keywords === "any" || fidelity.keywords.has(keyword.toLowerCase());
}

const NO_LOSSES: readonly Loss[] = [];

/** Whether a folder of this fidelity keeps all of the traits, which is so for most messages. */
function keepsAll({ flags, keywords, labels, received, foreign, misdated }: Traits, fidelity: Fidelity): boolean {
  if (foreign !== undefined || misdated === true) return false;
  if (flags.size > 0) for (const flag of flags) if (!fidelity.flags.has(flag)) return false;
  if (keywords.size > 0) for (const keyword of keywords) if (!keepsKeyword(fidelity, keyword)) return false;
  return (fidelity.labels || labels.size === 0) && (fidelity.received || received === undefined);
}

/** What is left of the traits in a folder of this fidelity, and each thing that is not. */
export function narrow(traits: Traits, fidelity: Fidelity): { kept: Traits; losses: readonly Loss[] } {
  if (keepsAll(traits, fidelity)) return { kept: traits, losses: NO_LOSSES };
  const losses: Loss[] = [];
  const flags = new Set<SystemFlag>();
  for (const flag of traits.flags) {
    if (fidelity.flags.has(flag)) flags.add(flag);
    else losses.push({ kind: "flag", name: flag });
  }
  const keywords = new Set<string>();
  for (const keyword of traits.keywords) {
    if (keepsKeyword(fidelity, keyword)) keywords.add(keyword);
    else losses.push({ kind: "keyword", name: keyword });
  }
  if (!fidelity.labels) for (const name of traits.labels) losses.push({ kind: "label", name });
  for (const name of traits.foreign ?? []) losses.push({ kind: "flag", name });
  if (!fidelity.received && traits.received !== undefined) losses.push({ kind: "received" });
  else if (traits.misdated === true) losses.push({ kind: "received", absurd: true });
  const labels = fidelity.labels ? traits.labels : new Set<string>();
  const received = fidelity.received && traits.received !== undefined ? { received: traits.received } : {};
  return { kept: { flags, keywords, labels, ...received }, losses };
}

/** What both of two stores can keep: the ground on which they may be compared. */
export function common(a: Fidelity, b: Fidelity): Fidelity {
  const flags = new Set([...a.flags].filter((flag) => b.flags.has(flag)));
  const { keywords: left } = a;
  const { keywords: right } = b;
  const keywords =
    left === "any" ? right : right === "any" ? left : new Set([...left].filter((keyword) => right.has(keyword)));
  return { flags, keywords, labels: a.labels && b.labels, received: a.received && b.received };
}

/** The change that leads from one set of traits to another; undefined when there is none. Keywords compare without case. */
export function difference(from: Traits, to: Traits): TraitChange | undefined {
  const add = {
    flags: minus(to.flags, from.flags),
    keywords: minusFolded(to.keywords, from.keywords),
    labels: minus(to.labels, from.labels),
  };
  const remove = {
    flags: minus(from.flags, to.flags),
    keywords: minusFolded(from.keywords, to.keywords),
    labels: minus(from.labels, to.labels),
  };
  const size = [add, remove].reduce((sum, side) => sum + side.flags.size + side.keywords.size + side.labels.size, 0);
  return size === 0 ? undefined : { add, remove };
}

/** The traits after a change. */
export function applyChange(traits: Traits, change: TraitChange): Traits {
  const flags = minus(traits.flags, change.remove.flags);
  for (const flag of change.add.flags) flags.add(flag);
  const keywords = minusFolded(traits.keywords, change.remove.keywords);
  for (const keyword of minusFolded(change.add.keywords, keywords)) keywords.add(keyword);
  const labels = minus(traits.labels, change.remove.labels);
  for (const label of change.add.labels) labels.add(label);
  return { ...traits, flags, keywords, labels };
}

function minus<T>(a: ReadonlySet<T>, b: ReadonlySet<T>): Set<T> {
  return new Set([...a].filter((item) => !b.has(item)));
}

function minusFolded(a: ReadonlySet<string>, b: ReadonlySet<string>): Set<string> {
  if (a.size === 0) return new Set();
  const folded = new Set([...b].map((keyword) => keyword.toLowerCase()));
  return new Set([...a].filter((keyword) => !folded.has(keyword.toLowerCase())));
}
