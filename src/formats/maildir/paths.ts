// Paths as byte strings: a Maildir may hold names that are no valid UTF-8, and they must be opened all the same.

/** A path whose every character is one octet (latin1). Made by `toBytes`, given to the file system through `fsPath`. */
export type BytePath = string;

const ASCII = /^[\x01-\x7f]*$/;

export function toBytes(path: string): BytePath {
  return Buffer.from(path, "utf8").toString("latin1");
}

export function fsPath(path: BytePath): string | Buffer {
  return ASCII.test(path) ? path : Buffer.from(path, "latin1");
}

/** For people: UTF-8 where it is that, else one letter an octet. */
export function showBytes(path: BytePath): string {
  const text = Buffer.from(path, "latin1").toString("utf8");
  return text.includes("\ufffd") ? path : text;
}
