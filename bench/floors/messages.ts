// The messages of an mbox in memory, as the wire has them, by its From_ lines alone.

export function* messagesIn(text: string): Generator<Buffer> {
  let at = 0;
  while (at < text.length) {
    const start = text.indexOf("\n", at) + 1;
    const found = text.indexOf("\n\nFrom ", start);
    const end = found < 0 ? text.length - 1 : found + 1;
    const message = text
      .slice(start, end)
      .replace(/^>(>*From )/gm, "$1")
      .replaceAll("\n", "\r\n");
    yield Buffer.from(message, "latin1");
    at = found < 0 ? text.length : found + 2;
  }
}
