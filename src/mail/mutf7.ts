// Modified UTF-7, the encoding of IMAP mailbox names and Maildir++ folder names (RFC 3501 5.1.3).

/** With the u flag this matches only surrogates that are not part of a pair. */
const UNPAIRED = /\p{Surrogate}/u;

/** Printable US-ASCII stands for itself; "&" alone is written "&-". */
function isDirect(code: number): boolean {
  return code >= 0x20 && code <= 0x7e;
}

/**
 * Encodes a name. Every JavaScript string has exactly one encoding; the result is printable US-ASCII without CR, LF or NUL.
 * An unpaired surrogate is encoded as it is, although `decodeMutf7` will refuse it.
 */
export function encodeMutf7(name: string): string {
  let out = "";
  let from = 0;
  while (from < name.length) {
    const code = name.charCodeAt(from);
    if (isDirect(code)) {
      out += code === 0x26 ? "&-" : name.charAt(from);
      from++;
      continue;
    }
    let to = from + 1;
    while (to < name.length && !isDirect(name.charCodeAt(to))) to++;
    const units = Buffer.from(name.slice(from, to), "utf16le").swap16();
    out += `&${units.toString("base64").replace(/=+$/, "").replaceAll("/", ",")}-`;
    from = to;
  }
  return out;
}

/**
 * Decodes a raw name; undefined when it is no valid encoding of anything: 8-bit or control bytes, an unclosed or empty-handed
 * shift, printable ASCII or two shifts in a row where one would do, stray bits, an unpaired surrogate. So whatever decodes is
 * encoded back to exactly the same raw name.
 */
export function decodeMutf7(raw: string): string | undefined {
  let out = "";
  let at = 0;
  while (at < raw.length) {
    const shift = raw.indexOf("&", at);
    if (shift === -1) {
      out += raw.slice(at);
      break;
    }
    out += raw.slice(at, shift);
    const end = raw.indexOf("-", shift);
    if (end === -1) return undefined;
    const coded = raw.slice(shift + 1, end);
    if (coded === "") out += "&";
    else {
      if (!/^[A-Za-z0-9+,]+$/.test(coded)) return undefined;
      const units = Buffer.from(coded.replaceAll(",", "/"), "base64");
      if (units.length === 0 || units.length % 2 !== 0) return undefined;
      out += units.swap16().toString("utf16le");
    }
    at = end + 1;
  }
  return !UNPAIRED.test(out) && encodeMutf7(out) === raw ? out : undefined;
}

/** A store's name for a folder as a person reads it: decoded, or as it stands where it is no encoding. */
export function showRaw(raw: string): string {
  return decodeMutf7(raw) ?? raw;
}
