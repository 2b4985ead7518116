// User names and secrets on their way to a server: nothing in them becomes a command, and nothing of them comes back out.

import { configError } from "../mail/errors.ts";

/** Shorter secrets are in every other line; hiding them would hide the conversation. */
const LEAST_HIDDEN = 4;

/** Throws MailError config when a line end or NUL is in what would go into a command. Call it before anything is sent. */
export function checkCredentials(user: string, kind: "password" | "token", secret: string): void {
  for (const [name, value] of [
    ["user name", user],
    [kind, secret],
  ] as const) {
    // Each would end the command and begin another one; NUL is the separator of SASL PLAIN (RFC 4616 2).
    if (/[\r\n\0]/.test(value))
      throw configError(
        `the ${name} holds a line end or a NUL: nothing was sent`,
        `Check where the ${name} comes from.`,
      );
    if (value === "") throw configError(`the ${name} is empty: nothing was sent`);
  }
}

/** Puts stars where one of the secrets stands. Not for texts that are parsed: "1234" may be a password. */
export function scrub(text: string, secrets: readonly string[]): string {
  let clean = text;
  for (const secret of secrets) if (secret.length >= LEAST_HIDDEN) clean = clean.replaceAll(secret, "****");
  return clean;
}

/** A password in every spelling that a server may send back: quoted, in the base64 of SASL, its UTF-8 octets as characters. */
export function spellings(user: string, password: string): readonly string[] {
  const base64 = (text: string): string => Buffer.from(text, "utf8").toString("base64");
  const plain = [password, password.replace(/[\\"]/g, "\\$&")];
  const octets = plain.map((text) => Buffer.from(text, "utf8").toString("latin1"));
  return [...new Set([base64(`\0${user}\0${password}`), base64(password), ...plain, ...octets])];
}
