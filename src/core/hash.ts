// A small fast hash of text, for tables that confirm a hit by other means.

/** FNV-1a over UTF-16 code units, 32 bits, never below `least`. */
export function hash32(text: string, least = 0): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193) >>> 0;
  return hash < least ? hash + least : hash;
}
