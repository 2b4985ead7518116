// Whether two endpoints are one place: nothing is copied onto itself.

import { statSync } from "node:fs";
import { realpath } from "node:fs/promises";
import { basename, dirname, join, resolve, sep } from "node:path";
import { configError } from "../mail/errors.ts";
import { defaultPort, type Endpoint, isAccount, showEndpoint } from "./endpoint.ts";

/**
 * What two spellings of one place have in common: for a server the account (the usual ports of one protocol are one server, and
 * a user's case is not told apart), for a path where it really lies, behind every link.
 */
export async function identityOf(endpoint: Endpoint): Promise<string> {
  if (!isAccount(endpoint)) return `file:${await realPath(endpoint.path)}`;
  const { kind, host, port, user, security } = endpoint;
  const server = port === defaultPort(kind, security) ? host : `${host}:${port}`;
  return `${kind}://${encodeURIComponent(user.toLowerCase())}@${server.replace(/\.$/, "")}`;
}

/** Throws MailError config when the target is the source, or a folder inside it. */
export async function refuseSame(source: Endpoint, target: Endpoint): Promise<void> {
  const from = await identityOf(source);
  const to = await identityOf(target);
  if (from === to)
    throw configError(
      `the source and the target are the same place: ${showEndpoint(target)}`,
      "Choose another target; to move folders inside one account use a mail program.",
    );
  if (!isAccount(source) && isDirectory(source.path) && to.startsWith(from + sep))
    throw configError(
      `the target ${showEndpoint(target)} lies inside the source ${showEndpoint(source)}`,
      "Choose a target outside of it: the source would grow while it is read.",
    );
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
  } catch {
    // Opening it says what is wrong.
    return false;
  }
}

/** The real path, also of what does not exist yet below a folder that does. */
async function realPath(path: string): Promise<string> {
  const absolute = resolve(path);
  try {
    return await realpath(absolute);
  } catch {
    const parent = dirname(absolute);
    return parent === absolute ? absolute : join(await realPath(parent), basename(absolute));
  }
}
