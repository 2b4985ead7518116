// Numbers in sentences.

/** 1234567 as "1,234,567": the same in every locale, for eyes and for grep. */
export function showCount(count: number): string {
  return String(Math.round(count)).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** "1 message", "2 messages". */
export function plural(count: number, word: string): string {
  return `${showCount(count)} ${word}${count === 1 ? "" : "s"}`;
}
