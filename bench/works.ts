// What is measured: mailbox, route, moment and line of each work, and the bars that mailferry sets itself there.

import type { Profile } from "./mailboxes.ts";
import type { Line } from "./place.ts";
import type { Moment, Route } from "./tools/tool.ts";

/** mailferry's wall time, at most so many times the other's. */
export interface Bar {
  readonly against: string;
  readonly atMost: number;
  /** Only when everything lies on a disk, or only when it lies in memory; else in both. */
  readonly on?: "disk" | "memory";
  /** A bar must hold; what is to be reached is told beside it. */
  readonly isReach?: true;
}

export interface Work {
  readonly name: string;
  readonly profile: Profile;
  readonly route: Route;
  readonly moment: Moment;
  readonly line: Line;
  readonly isQuick: boolean;
  readonly bars: readonly Bar[];
}

/** Of resident memory, in any work. */
export const MOST_MB = 150;

const PLAIN_0: Line = { rttMs: 0, tls: false };
const PLAIN_50: Line = { rttMs: 50, tls: false };
const TLS_0: Line = { rttMs: 0, tls: true };
const TLS_50: Line = { rttMs: 50, tls: true };
const ASKING: Line = { rttMs: 0, tls: false, asks: true };
const PLAIN = [PLAIN_0, PLAIN_50];
const ALL = [PLAIN_0, PLAIN_50, TLS_0, TLS_50];

function atMost(against: string, most: number, reach?: number, on?: Bar["on"]): readonly Bar[] {
  const where = on === undefined ? {} : { on };
  const bar: Bar = { against, atMost: most, ...where };
  return reach === undefined ? [bar] : [bar, ...toReach(against, reach, on)];
}

function toReach(against: string, most: number, on?: Bar["on"]): readonly Bar[] {
  return [{ against, atMost: most, isReach: true, ...(on === undefined ? {} : { on }) }];
}

interface Row {
  readonly profile: Profile;
  readonly route: Route;
  readonly moment?: Moment;
  readonly lines: readonly Line[];
  /** Those of them that --quick measures too; default all without TLS. */
  readonly quick?: readonly Line[];
  readonly bars?: (line: Line) => readonly Bar[];
}

const ROWS: readonly Row[] = [
  {
    profile: "small",
    route: "imap-maildir",
    lines: ALL,
    quick: [PLAIN_0, PLAIN_50, TLS_50],
    bars: ({ rttMs }) =>
      rttMs > 0
        ? atMost("mbsync", 0.9, 0.6)
        : [
            ...atMost("mbsync", 0.7, 0.4, "disk"),
            ...atMost("mbsync", 1.5, 1, "memory"),
            ...atMost("doveadm", 1, undefined, "memory"),
          ],
  },
  {
    profile: "wide",
    route: "imap-maildir",
    lines: ALL,
    bars: ({ rttMs }) => (rttMs > 0 ? [...atMost("mbsync", 0.1), ...toReach("floor-read", 2)] : []),
  },
  {
    profile: "large",
    route: "imap-maildir",
    lines: ALL,
    bars: () => atMost("floor-files", 1 / 0.6, 1 / 0.8),
  },
  { profile: "big", route: "imap-maildir", lines: PLAIN, quick: [PLAIN_0] },
  { profile: "small", route: "imap-mboxzip", lines: PLAIN },
  { profile: "large", route: "imap-mboxzip", lines: PLAIN, quick: [PLAIN_0] },
  {
    profile: "small",
    route: "imap-imap",
    lines: ALL,
    quick: [PLAIN_0, PLAIN_50, TLS_50],
    bars: () => [...atMost("mbsync", 0.5), ...toReach("floor-copy", 2)],
  },
  { profile: "wide", route: "imap-imap", lines: PLAIN },
  {
    profile: "large",
    route: "imap-imap",
    lines: ALL,
    bars: ({ rttMs }) => (rttMs > 0 ? [...atMost("mbsync", 0.2), ...toReach("floor-copy", 2)] : []),
  },
  { profile: "big", route: "imap-imap", lines: PLAIN, quick: [PLAIN_0] },
  {
    profile: "inbox",
    route: "pop3-maildir",
    lines: ALL,
    bars: ({ rttMs }) =>
      rttMs > 0 ? [...atMost("mpop", 1), ...atMost("getmail", 0.1), ...toReach("floor-pop", 2)] : [],
  },
  { profile: "small", route: "mbox-imap", lines: PLAIN },
  { profile: "small", route: "mbox-imap", lines: [ASKING], bars: () => atMost("floor-ask", 1.3) },
  { profile: "mbox", route: "mbox-split", lines: [PLAIN_0], bars: () => atMost("floor-hash", 2, 1 / 0.8) },
  { profile: "mbox-small", route: "mbox-split", lines: [PLAIN_0], bars: () => atMost("floor-hash", 2, 1 / 0.8) },
  { profile: "small", route: "imap-maildir", moment: "unchanged", lines: PLAIN, quick: [PLAIN_0] },
  {
    profile: "wide",
    route: "imap-maildir",
    moment: "unchanged",
    lines: ALL,
    bars: ({ rttMs }) =>
      rttMs > 0
        ? [...atMost("mbsync", 0.05), ...toReach("floor-status", 3)]
        : [...atMost("import-imapflow", 2), ...toReach("mbsync", 1)],
  },
  { profile: "wide", route: "imap-imap", moment: "unchanged", lines: PLAIN, quick: [PLAIN_50] },
  { profile: "small", route: "imap-maildir", moment: "new", lines: PLAIN },
  { profile: "wide", route: "imap-maildir", moment: "new", lines: PLAIN, quick: [PLAIN_50] },
];

/** Every work, on its own lines or on these instead; the bars were set for 0 and 50 ms. */
export function worksOn(chosen?: readonly Line[]): readonly Work[] {
  return ROWS.flatMap(({ profile, route, moment = "first", lines, quick, bars }) =>
    (chosen === undefined || route === "mbox-split" || lines.includes(ASKING) ? lines : chosen).map((line) => ({
      name:
        route === "mbox-split"
          ? `${profile}/${route}`
          : [
              profile,
              route,
              moment,
              `${line.rttMs}ms`,
              ...(line.tls ? ["tls"] : []),
              ...(line.asks ? ["asking"] : []),
            ].join("/"),
      profile,
      route,
      moment,
      line,
      isQuick: chosen !== undefined || (quick === undefined ? !line.tls : quick.includes(line)),
      bars: line.rttMs === 0 || line.rttMs === 50 ? (bars?.(line) ?? []) : [],
    })),
  );
}

/** "50", "50ms" or "50ms/tls"; undefined for anything else. */
export function parseLine(text: string): Line | undefined {
  const match = /^(\d{1,4})(?:ms)?(\/tls)?$/.exec(text);
  return match === null ? undefined : { rttMs: Number(match[1]), tls: match[2] !== undefined };
}
