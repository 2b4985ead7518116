// The numbers as Markdown: a table a work, and the bars at the end.

import type { Cost } from "./measure.ts";
import type { Measured } from "./run.ts";
import { OTHER } from "./tools/mailferry.ts";
import { MOST_MB, type Work } from "./works.ts";

export interface Result {
  readonly work: Work;
  readonly what: string;
  readonly measured: readonly Measured[];
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const [low = Number.NaN, high = Number.NaN] = [sorted[(sorted.length - 1) >> 1], sorted[middle]];
  return (low + high) / 2;
}

/** One tool's wall time as a multiple of another's: the median over the rounds in which both ran. */
export function ratio(one: Measured | undefined, other: Measured | undefined): number {
  const ratios = (one?.costs ?? []).flatMap((cost, round) => {
    const base = other?.costs[round];
    return cost === undefined || base === undefined ? [] : [cost.wallSeconds / base.wallSeconds];
  });
  return median(ratios);
}

/** The same to one that was ended: the slowest of our runs as a multiple of the time that was not enough for it. */
export function upperBound(one: Measured | undefined, other: Measured | undefined): number {
  const times = (one?.costs ?? []).flatMap((cost) => (cost === undefined ? [] : [cost.wallSeconds]));
  return times.length === 0 ? Number.NaN : Math.max(...times) / (other?.moreThan ?? Number.NaN);
}

function of(measured: Measured, pick: (cost: Cost) => number): number {
  return median(measured.costs.flatMap((cost) => (cost === undefined ? [] : [pick(cost)])));
}

function show(value: number, digits: number): string {
  return Number.isNaN(value) ? "" : value.toFixed(digits);
}

/** "mailferry is 0.4 times" reads better with two digits that count. */
function showRatio(value: number): string {
  return Number.isNaN(value) ? "" : `${value.toFixed(value < 0.1 ? 3 : 2)}x`;
}

export function renderWork({ work, what, measured }: Result): string {
  const ours = measured.find(({ kind }) => kind === "mailferry");
  const floor = measured.find(({ kind }) => kind === "floor");
  const lines = measured.map((row) => {
    const count = row.costs.filter((cost) => cost !== undefined).length;
    const name = row.kind === "mailferry" ? `**${row.tool}**` : row.tool;
    const cells = [
      name,
      String(count),
      show(
        of(row, ({ wallSeconds }) => wallSeconds),
        2,
      ),
      show(
        of(row, ({ cpuSeconds }) => cpuSeconds),
        2,
      ),
      show(
        of(row, ({ peakMb }) => peakMb),
        0,
      ),
      showRatio(ratio(row, floor)),
      row === ours ? "" : showRatio(ratio(ours, row)),
      row.remarks.join("; ").replaceAll("|", "\\|"),
    ];
    return `| ${cells.join(" | ")} |`;
  });
  return [
    `### ${work.name}`,
    "",
    what,
    "",
    `| tool | runs | wall s | CPU s | RSS MB | to ${floor?.tool ?? "the floor"} | mailferry to it | remarks |`,
    "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ...lines,
    "",
  ].join("\n");
}

/** Every bar of the works that were measured, those that could not be told among them, and the memory of every work. */
export function renderBars(results: readonly Result[], where: "disk" | "memory"): string {
  const lines = results.flatMap(({ work, measured }) => {
    const ours = measured.find(({ kind }) => kind === "mailferry");
    const bars = work.bars.flatMap(({ against, atMost, on, isReach }) => {
      const other = measured.find(({ tool }) => tool === against);
      const value = ratio(ours, other);
      if (on !== undefined && on !== where) return [];
      const kind = isReach === true ? "to reach" : "bar";
      if (Number.isNaN(value)) {
        const most = upperBound(ours, other);
        // A peer that was ended is slower than the limit says: that may be enough, or leave the bar open.
        const verdict = Number.isNaN(most) ? "not measured" : most <= atMost ? "yes" : "not settled";
        const shown = Number.isNaN(most) ? "" : `under ${showRatio(most)}`;
        return [`| ${work.name} | ${kind} | ${against} | ${showRatio(atMost)} | ${shown} | ${verdict} |`];
      }
      const verdict = value <= atMost ? "yes" : isReach === true ? "no" : "**no**";
      return [`| ${work.name} | ${kind} | ${against} | ${showRatio(atMost)} | ${showRatio(value)} | ${verdict} |`];
    });
    // The highest of all runs: memory is a bound, not a habit.
    const peaks = (ours?.costs ?? []).flatMap((cost) => (cost === undefined ? [] : [cost.peakMb]));
    const peak = Math.max(...peaks);
    const isCounted = peaks.length > 0 && !Number.isNaN(peak);
    const holds = !isCounted ? "not measured" : peak <= MOST_MB ? "yes" : "**no**";
    bars.push(
      `| ${work.name} | bar | memory | ${MOST_MB} MB | ${isCounted ? `${peak.toFixed(0)} MB` : ""} | ${holds} |`,
    );
    return bars;
  });
  const head = ["| work | kind | mailferry to | at most | is | holds |", "| --- | --- | --- | --- | --- | --- |"];
  return [...head, ...lines, ""].join("\n");
}

/** One figure of ours as a multiple of the other form's, round by round. */
function paired({ measured }: Result, pick: (cost: Cost) => number): number[] {
  const ours = measured.find(({ kind }) => kind === "mailferry");
  const other = measured.find(({ tool }) => tool === OTHER);
  return (ours?.costs ?? []).flatMap((cost, round) => {
    const base = other?.costs[round];
    return cost === undefined || base === undefined ? [] : [pick(cost) / pick(base)];
  });
}

/** Two-sided 95 % points of Student's distribution; from 30 degrees of freedom on the normal one is near enough. */
const STUDENT = [
  12.71, 4.3, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.2, 2.18, 2.16, 2.14, 2.13, 2.12, 2.11, 2.1, 2.09, 2.09,
  2.08, 2.07, 2.07, 2.06, 2.06, 2.06, 2.05, 2.05, 2.05,
];

/** The geometric mean of ratios, and between what it lies in 95 of 100 cases. */
function meanOf(ratios: readonly number[]): { readonly mean: number; readonly low: number; readonly high: number } {
  const logs = ratios.map(Math.log);
  const mean = logs.reduce((sum, value) => sum + value, 0) / logs.length;
  const spread = logs.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (logs.length - 1);
  const half = (STUDENT[logs.length - 2] ?? 1.96) * Math.sqrt(spread / logs.length);
  return { mean: Math.exp(mean), low: Math.exp(mean - half), high: Math.exp(mean + half) };
}

/** CPU, wall time and memory as multiples of the other form's: each work, and the mean of all pairs. */
export function renderCompared(results: readonly Result[]): string {
  const picks = [
    ({ cpuSeconds }: Cost): number => cpuSeconds,
    ({ wallSeconds }: Cost): number => wallSeconds,
    ({ peakMb }: Cost): number => peakMb,
  ];
  const cell = (ratios: readonly number[]): string => {
    const { mean, low, high } = meanOf(ratios);
    return Number.isNaN(low) ? `${mean.toFixed(3)}x` : `${mean.toFixed(3)}x (${low.toFixed(3)} to ${high.toFixed(3)})`;
  };
  const row = (name: string, of: readonly Result[]): string[] => {
    const columns = picks.map((pick) => of.flatMap((result) => paired(result, pick)));
    const pairs = columns[0]?.length ?? 0;
    return pairs === 0 ? [] : [`| ${name} | ${pairs} | ${columns.map(cell).join(" | ")} |`];
  };
  return [
    "| work | pairs | CPU | wall | memory |",
    "| --- | --- | --- | --- | --- |",
    ...results.flatMap((result) => row(result.work.name, [result])),
    ...row("all", results),
    "",
  ].join("\n");
}
