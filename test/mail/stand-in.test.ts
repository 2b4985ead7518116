// Texts that a server makes up in place of a message, and mail that speaks of them.

import { expect, it } from "vitest";
import { standInLikeness } from "../../src/mail/stand-in.ts";

const SUBJECT = "Retrieval using the POP3 protocol failed for the following message: 17";
const TEXT = "The server couldn't retrieve the following message:";
const message = (subject: string, text: string): Buffer =>
  Buffer.from(`From: a@example.org\r\nSubject: ${subject}\r\n\r\n${text}\r\n`);

it.each([
  [SUBJECT, TEXT, "certain"],
  [SUBJECT.replace("POP3", "IMAP4"), `--x\r\n\r\n${TEXT.replace("'", "\u2019")}`, "certain"],
  [SUBJECT, "What is this?", "likely"],
  [`Re: ${SUBJECT}`, `> ${TEXT}`, undefined],
  ["Fwd", `Look:\r\n${TEXT}`, "likely"],
  ["Hello", "World", undefined],
] as const)("%s / %s is %s", (subject, text, likeness) => {
  expect(standInLikeness(message(subject, text))).toBe(likeness);
});

it("what is no mail is none", () => {
  for (const text of ["", "\r\n", "Subject: x", TEXT]) expect(standInLikeness(Buffer.from(text))).toBeUndefined();
});
