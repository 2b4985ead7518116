// What a report says of its command: when, by which version, from where to where, with which options. Never a secret.

import { version } from "../core/version.ts";
import { parseEndpoint, type Role, showEndpoint } from "../endpoints.ts";
import type { Verb } from "./help.ts";
import type { Arguments } from "./options.ts";

/** Which words of a command line are its places. */
const PLACES: Readonly<Record<Verb, Readonly<Record<string, Role>>>> = {
  backup: { source: "source", archive: "target" },
  drain: { source: "source", archive: "target" },
  migrate: { source: "source", target: "target" },
  restore: { archive: "source", target: "target" },
  verify: { source: "source", target: "target" },
  folders: { endpoint: "source" },
};

export function headOf(verb: Verb, args: Arguments): object {
  const places = PLACES[verb];
  const names = (role: Role): string[] =>
    Object.entries(places)
      .flatMap(([name, side]) => (side === role ? [showPlace(args[name], verb, role)] : []))
      .filter((text) => text !== "");
  const [source] = names("source");
  const [target] = names("target");
  // A command may hold a password; what yargs adds ("_", "$0") and what is off says nothing.
  const isSaid = ([name, value]: [string, unknown]): boolean =>
    /^[a-z]/.test(name) &&
    name.length > 1 &&
    !(name in places) &&
    !/-password-/.test(name) &&
    value !== undefined &&
    value !== false &&
    value !== 0;
  return {
    startedAt: new Date(),
    version: version(),
    verb,
    ...(source === undefined ? {} : { source }),
    ...(target === undefined ? {} : { target }),
    options: Object.fromEntries(Object.entries(args).filter(isSaid)),
  };
}

/** As it is shown elsewhere; one that cannot be read may hold a password and is left out. */
function showPlace(value: unknown, verb: Verb, role: Role): string {
  if (typeof value !== "string" || value === "") return "";
  try {
    return showEndpoint(parseEndpoint(value, verb === "verify" ? "source" : role));
  } catch {
    return /[:@]/.test(value) ? "" : value;
  }
}
