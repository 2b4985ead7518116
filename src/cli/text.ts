// Text from outside (folder names, subjects, server answers) made harmless for a terminal, cut and padded by columns.

// C0, DEL and C1 drive terminals; bidi controls and invisible format characters make one name look like another; a lone
// surrogate has no encoding; U+2028/2029 break lines; tag characters hide text.
const HARMFUL =
  /[\u0000-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]|\p{Surrogate}/gu;

/** The text with every character that could harm written out (`\u202e`). What is harmless comes back unchanged. */
export function plain(text: string): string {
  return text.replace(HARMFUL, (char) => {
    const code = char.codePointAt(0) ?? 0;
    return code > 0xffff ? `\\u{${code.toString(16)}}` : `\\u${code.toString(16).padStart(4, "0")}`;
  });
}

// Wide by East Asian Width (Unicode TR 11) or shown as a picture.
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6]|[\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}/u;
const ASCII = /^[\x20-\x7e]*$/;
const ZERO = /^[\p{M}\u200c\u200d]$/u;
const graphemes = new Intl.Segmenter("en", { granularity: "grapheme" });

function graphemeWidth(grapheme: string): number {
  if (ZERO.test(grapheme)) return 0;
  return WIDE.test(grapheme) ? 2 : 1;
}

/** Columns on a terminal. */
export function width(text: string): number {
  if (ASCII.test(text)) return text.length;
  let columns = 0;
  for (const { segment } of graphemes.segment(text)) columns += graphemeWidth(segment);
  return columns;
}

/** The text made harmless and cut to so many columns, with "…" where something was cut. */
export function cut(text: string, columns: number): string {
  const safe = plain(text.length > columns * 40 ? text.slice(0, columns * 40) : text);
  if (width(safe) <= columns) return safe;
  let kept = "";
  let used = 0;
  for (const { segment } of graphemes.segment(safe)) {
    const next = graphemeWidth(segment);
    if (used + next > columns - 1) break;
    kept += segment;
    used += next;
  }
  return columns < 1 ? "" : `${kept}…`;
}

/** As `cut`, but the end stays too: by it, folders of one parent differ. Undefined: nothing is cut. */
export function squeeze(text: string, columns: number | undefined): string {
  const safe = plain(text);
  if (columns === undefined || width(safe) <= columns) return safe;
  const most = Math.max(0, Math.floor((columns - 1) / 2));
  let tail = "";
  for (const { segment } of [...graphemes.segment(safe.slice(-4 * most - 40))].reverse()) {
    if (width(segment + tail) > most) break;
    tail = segment + tail;
  }
  return `${cut(safe, columns - width(tail))}${tail}`;
}

/** Pads on the right to so many columns. */
export function padEnd(text: string, columns: number): string {
  return text + " ".repeat(Math.max(0, columns - width(text)));
}

/** Pads on the left to so many columns. */
export function padStart(text: string, columns: number): string {
  return " ".repeat(Math.max(0, columns - width(text))) + text;
}

/** Rows as aligned lines; the columns named in `right` are aligned right. Cells must be harmless already. */
export function table(rows: readonly (readonly string[])[], right: ReadonlySet<number> = new Set()): string[] {
  const widths: number[] = [];
  for (const row of rows) for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, width(cell));
  return rows.map((row) =>
    row
      .map((cell, i) => (right.has(i) ? padStart(cell, widths[i] ?? 0) : padEnd(cell, widths[i] ?? 0)))
      .join("  ")
      .trimEnd(),
  );
}

/** Clauses as the end of a sentence, with its full stop where none stands there. */
export function sentence(clauses: readonly string[]): string {
  const text = clauses.join("; ");
  return /[.!?…]$/.test(text) ? text : `${text}.`;
}

/** Quotes an argument for a POSIX shell, so that a command line that is shown can be typed again. */
export function shellQuote(text: string): string {
  return /^(?!~)[A-Za-z0-9_@%+=:,./~-]+$/.test(text) ? text : `'${plain(text).replaceAll("'", "'\\''")}'`;
}
