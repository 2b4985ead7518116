// What is measured: mailbox, route, moment and line of each work, and the bar that mailferry sets itself there.

import type { Profile } from "./mailboxes.ts";
import type { Line } from "./place.ts";
import type { Moment, Route } from "./tools/tool.ts";

/** mailferry's wall time, at most so many times the other's. */
export interface Bar {
  readonly against: string;
  readonly atMost: number;
  /** Only when everything lies on a disk, or only when it lies in memory; else in both. */
  readonly on?: "disk" | "memory";
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
const PLAIN = [PLAIN_0, PLAIN_50];
const ALL = [PLAIN_0, PLAIN_50, TLS_0, TLS_50];

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
        ? [{ against: "mbsync", atMost: 0.9 }]
        : [
            { against: "mbsync", atMost: 0.7, on: "disk" },
            { against: "mbsync", atMost: 1.5, on: "memory" },
            { against: "doveadm", atMost: 1, on: "memory" },
          ],
  },
  {
    profile: "wide",
    route: "imap-maildir",
    lines: ALL,
    bars: ({ rttMs }) => (rttMs > 0 ? [{ against: "mbsync", atMost: 0.1 }] : []),
  },
  {
    profile: "large",
    route: "imap-maildir",
    lines: ALL,
    bars: () => [{ against: "floor-files", atMost: 1 / 0.6 }],
  },
  { profile: "big", route: "imap-maildir", lines: PLAIN, quick: [PLAIN_0] },
  { profile: "small", route: "imap-mboxzip", lines: PLAIN },
  { profile: "large", route: "imap-mboxzip", lines: PLAIN, quick: [PLAIN_0] },
  {
    profile: "small",
    route: "imap-imap",
    lines: ALL,
    quick: [PLAIN_0, PLAIN_50, TLS_50],
    bars: () => [{ against: "mbsync", atMost: 0.5 }],
  },
  { profile: "wide", route: "imap-imap", lines: PLAIN },
  {
    profile: "large",
    route: "imap-imap",
    lines: ALL,
    bars: ({ rttMs }) => (rttMs > 0 ? [{ against: "mbsync", atMost: 0.2 }] : []),
  },
  { profile: "big", route: "imap-imap", lines: PLAIN, quick: [PLAIN_0] },
  {
    profile: "inbox",
    route: "pop3-maildir",
    lines: ALL,
    bars: ({ rttMs }) =>
      rttMs > 0
        ? [
            { against: "mpop", atMost: 1 },
            { against: "getmail", atMost: 0.1 },
          ]
        : [],
  },
  { profile: "small", route: "mbox-imap", lines: PLAIN },
  { profile: "small", route: "imap-maildir", moment: "unchanged", lines: PLAIN, quick: [PLAIN_0] },
  {
    profile: "wide",
    route: "imap-maildir",
    moment: "unchanged",
    lines: ALL,
    bars: ({ rttMs }) =>
      rttMs > 0 ? [{ against: "mbsync", atMost: 0.05 }] : [{ against: "import-imapflow", atMost: 2 }],
  },
  { profile: "wide", route: "imap-imap", moment: "unchanged", lines: PLAIN, quick: [PLAIN_50] },
  { profile: "small", route: "imap-maildir", moment: "new", lines: PLAIN },
  { profile: "wide", route: "imap-maildir", moment: "new", lines: PLAIN, quick: [PLAIN_50] },
];

export const WORKS: readonly Work[] = ROWS.flatMap(({ profile, route, moment = "first", lines, quick, bars }) =>
  lines.map((line) => ({
    name: [profile, route, moment, `${line.rttMs}ms`, ...(line.tls ? ["tls"] : [])].join("/"),
    profile,
    route,
    moment,
    line,
    isQuick: quick === undefined ? !line.tls : quick.includes(line),
    bars: bars?.(line) ?? [],
  })),
);
