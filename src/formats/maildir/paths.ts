// Paths as byte strings: a Maildir may hold names that are no valid UTF-8, and they must be opened all the same.

/** A path whose every character is one octet (latin1). Made by `toBytes`, given to the file system through `fsPath`. */
export type BytePath = string;

const ASCII = /^[\x01-\x7f]*$/;

export function toBytes(path: string): BytePath {
  return Buffer.from(path, "utf8").toString("latin1");
}

/** For a call about this path alone; one that lists names below it takes `listedPath`. */
export function fsPath(path: BytePath): string | Buffer {
  return ASCII.test(path) ? path : Buffer.from(path, "latin1");
}

/**
 * For opendir and readdir. Where a file system does not tell what is a folder, Node looks for itself, at this path joined with the name:
 * with a text, names beyond ASCII would be others there, and look as if they were gone. With octets it refuses.
 */
export function listedPath(path: BytePath): Buffer {
  return Buffer.from(path, "latin1");
}

/** For people: UTF-8 where it is that, else one letter an octet. */
export function showBytes(path: BytePath): string {
  const text = Buffer.from(path, "latin1").toString("utf8");
  return text.includes("\ufffd") ? path : text;
}
