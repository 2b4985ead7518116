// Tables for people: as wide as they are on a pipe; on a terminal they fit its columns, and the names give way.

import { padEnd, padStart, plain, squeeze, width } from "./text.ts";

export interface Row {
  /** A name first, which gives way where the terminal is narrow; then what does not. */
  readonly cells: readonly string[];
  /** Said in a line below it. */
  readonly below?: string;
}

/** A name is cut to no fewer columns; where there are not so many, it stands in a line of its own. */
const LEAST_NAME = 12;
const GAP = 2;

/** The columns of a terminal (80 of one that does not say, or says none); undefined where there is none, and nothing need fit. */
export function columnsOf(stream: NodeJS.WriteStream): number | undefined {
  return stream.isTTY === true ? stream.columns || 80 : undefined;
}

/** Rows as lines; what stands behind the name is aligned right, but for `left`. `heads`: the headings, and shorter ones where those do not fit. */
export function fitted(
  heads: readonly (readonly string[])[],
  rows: readonly Row[],
  columns?: number,
  left: ReadonlySet<number> = new Set(),
): string[] {
  const linesOf = (row: Row, widths: readonly number[], above?: string): string[] =>
    laid(row, widths, left, columns, above);
  const all = heads.map((head) => [{ cells: head }, ...rows]);
  const fits = (some: readonly Row[]): boolean => columns === undefined || sum(widthsOf(some)) <= columns;
  const shown = all.find(fits) ?? all.at(-1) ?? rows;
  if (columns === undefined || fits(shown)) return shown.flatMap((row) => linesOf(row, widthsOf(shown)));
  const widths = widthsOf(shown);
  const room = columns - (sum(widths) - (widths[0] ?? 0));
  if (room >= LEAST_NAME) return shown.flatMap((row) => linesOf(row, [room, ...widths.slice(1)]));
  // The name in a line of its own, the numbers below it.
  return shown.flatMap(({ cells: [name = "", ...numbers], below }) =>
    linesOf({ cells: ["", ...numbers], ...(below === undefined ? {} : { below }) }, [0, ...widths.slice(1)], name),
  );
}

function widthsOf(rows: readonly Row[]): number[] {
  const widths: number[] = [];
  for (const { cells } of rows)
    for (const [i, cell] of cells.entries()) widths[i] = Math.max(widths[i] ?? 0, width(cell));
  return widths;
}

const sum = (widths: readonly number[]): number =>
  widths.reduce((total, one) => total + one, 0) + GAP * (widths.length - 1);

function laid(
  { cells, below }: Row,
  widths: readonly number[],
  left: ReadonlySet<number>,
  columns?: number,
  above?: string,
): string[] {
  const shown = cells.map((cell, i) => {
    const most = widths[i] ?? 0;
    if (i === 0) return padEnd(squeeze(cell, most), most);
    return left.has(i) ? padEnd(cell, most) : padStart(cell, most);
  });
  const line = shown.join(" ".repeat(GAP)).trimEnd();
  const first = above === undefined ? [] : [columns === undefined ? above : squeeze(above, columns)];
  return [...first, line, ...(below === undefined ? [] : wrapped(below, columns))];
}

/** Words in lines of so many columns, set in by four. */
function wrapped(text: string, columns = Number.POSITIVE_INFINITY): string[] {
  const indent = "    ";
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    const longer = line === "" ? word : `${line} ${word}`;
    if (line !== "" && indent.length + width(longer) > columns) {
      lines.push(line);
      line = word;
    } else line = longer;
  }
  return [...lines, line].map((one) => indent + squeeze(plain(one), columns - indent.length));
}
