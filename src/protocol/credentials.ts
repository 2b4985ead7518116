// User names and secrets on their way to a server: nothing in them becomes a command, and nothing of them comes back out.

import { configError, MailError } from "../mail/errors.ts";

/** Shorter secrets are in every other line; hiding them would hide the conversation. */
const LEAST_HIDDEN = 4;

/** Each would end the command and begin another one; NUL is the separator of SASL PLAIN (RFC 4616 2). */
const LINE_END_OR_NUL = /[\r\n\0]/;
/** Beside them the separator of XOAUTH2 (0x01), and others that no name and no token can hold. */
const CONTROLS = /[\x00-\x1f\x7f]/;

/** Throws MailError config when what would go into a command could become a part of it. Call it before anything is sent. */
export function checkCredentials(user: string, kind: "password" | "token", secret: string): void {
  check("user name", user);
  check(kind, secret);
}

function check(name: "user name" | "password" | "token", value: string): void {
  const hint = `Check where the ${name} comes from.`;
  if (LINE_END_OR_NUL.test(value)) throw configError(`the ${name} holds a line end or a NUL: nothing was sent`, hint);
  // A password may hold what a keyboard gives.
  if (name === "password") {
    if (value === "") throw configError("the password is empty: nothing was sent");
    return;
  }
  if (CONTROLS.test(value)) throw configError(`the ${name} holds a control character: nothing was sent`, hint);
  if (value === "") throw configError(`the ${name} is empty: nothing was sent`);
}

/**
 * Logs in with what `ask` says. A secret that is refused may have been changed, or have run out, since it was told: `ask` hears of
 * it and is asked once more. Only another answer is tried, and that once: many servers shut out who repeats a wrong password.
 */
export async function withSecret<T>(
  ask: (refused?: string) => Promise<string>,
  login: (secret: string) => Promise<T>,
): Promise<T> {
  const secret = await ask();
  try {
    return await login(secret);
  } catch (error) {
    if (!(error instanceof MailError) || error.code !== "auth") throw error;
    const other = await ask(secret).catch(() => secret);
    if (other === secret) throw error;
    return login(other);
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
