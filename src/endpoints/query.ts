// The query of an endpoint and its percent-encoding. Values are never repeated in an error: one may be a password.

import { configError } from "../mail/errors.ts";

/** Reads "a=b&c=d". Throws MailError config for an option that is unknown or given twice; values are never repeated. */
export function readOptions(
  query: string,
  kind: string,
  known: readonly string[],
  place: string,
): ReadonlyMap<string, string> {
  const options = new Map<string, string>();
  for (const part of query.split("&")) {
    if (part === "") continue;
    const at = part.indexOf("=");
    const name = at === -1 ? part : part.slice(0, at);
    if (!known.includes(name)) {
      const shown = /^[a-z][a-z-]{0,30}$/.test(name) && at !== -1 ? `"${name}"` : "an option that is unknown";
      const list = known.length === 0 ? `${kind} has no options` : `${kind} knows ${known.join(", ")}`;
      throw configError(`${place} has ${shown === `"${name}"` ? `the unknown option ${shown}` : shown}`, `${list}.`);
    }
    if (at === -1 || at === part.length - 1)
      throw configError(`${place}: ${name} has no value`, `Write ?${name}=VALUE.`);
    if (options.has(name)) throw configError(`${place}: ${name} is given twice`, "Give it once.");
    options.set(name, decode(part.slice(at + 1), `the value of ${name}`));
  }
  return options;
}

/** Percent-decodes. Throws MailError config naming `what`, never its text. */
export function decode(text: string, what: string): string {
  let decoded: string;
  try {
    decoded = decodeURIComponent(text);
  } catch (error) {
    throw configError(`${what} has a % that starts no percent-encoding`, "Write %25 for a %.", error);
  }
  if (/[\0-\x1f\x7f]/.test(decoded)) throw configError(`${what} holds a control character`, "Remove it.");
  return decoded;
}

/** "on" and "off" as a boolean. */
export function onOff(value: string | undefined, name: string): boolean | undefined {
  if (value === undefined) return undefined;
  if (value === "on" || value === "true") return true;
  if (value === "off" || value === "false") return false;
  throw configError(`${name} is neither on nor off`, `Write ${name}=on or ${name}=off.`);
}
