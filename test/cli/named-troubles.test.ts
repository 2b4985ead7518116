// Which of many failed messages are named on the terminal: those that a person can know, in the source's order.

import { expect, it } from "vitest";
import { Notes } from "../../src/cli/notes.ts";
import { renderTroubles } from "../../src/cli/report.ts";
import { MailError } from "../../src/mail/errors.ts";
import type { MigrationEvent } from "../../src/migrate/events.ts";

const failed = (id: number, folder: string, subject?: string): MigrationEvent => ({
  type: "message-settled",
  entry: {
    origin: { folder: [folder], generation: "1", id: String(id) },
    traits: { flags: new Set(), keywords: new Set<string>(), labels: new Set<string>() },
  },
  as: "failed",
  bytes: 0,
  losses: [],
  error: new MailError("protocol", "not to be had", { scope: "message", remedy: "give-up" }),
  ...(subject === undefined ? {} : { subject }),
});

const subjects = (lines: readonly string[]): string[] =>
  lines.flatMap((line) => line.match(/Subject: (.*)/)?.[1] ?? []);

it("names those whose headers were asked for, in order, though they are settled behind the others", async () => {
  const notes = new Notes(false);
  for (let id = 21; id <= 45; id++) notes.add(failed(id, "INBOX"));
  for (const id of [9, 10, 8, ...Array.from({ length: 17 }, (_, i) => [1, 2, 3, 4, 5, 6, 7][i] ?? i + 4)])
    notes.add(failed(id, "INBOX", `s${id}`));
  const lines = await renderTroubles(notes, undefined);
  expect(subjects(lines)).toEqual(Array.from({ length: 20 }, (_, i) => `s${i + 1}`));
});

it("counts the others", async () => {
  const notes = new Notes(false);
  for (let id = 1; id <= 45; id++) notes.add(failed(id, "INBOX", `s${id}`));
  const balance = { failed: 45 } as Parameters<typeof renderTroubles>[1];
  expect(await renderTroubles(notes, balance)).toContain("  and 25 more; --report FILE has them all");
  expect(subjects(await renderTroubles(notes, balance))).toEqual(Array.from({ length: 20 }, (_, i) => `s${i + 1}`));
});
