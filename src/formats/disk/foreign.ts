// Mail in forms that are not read, told by name and first octets, each with the way out.

import { basename } from "node:path";
import { fieldsOfMail } from "../mbox/evidence.ts";

/** A form of mail that is not read. */
export interface Foreign {
  /** Which form, for telling them apart. */
  readonly kind: string;
  /** "3 messages of MH", "an Outlook data file (.pst)": one, and many of them. */
  readonly one: string;
  readonly many: string;
  /** A file is a message: those of a folder are told together. */
  readonly isMessage?: boolean;
  /** The way out; DIR is the folder that they lie in, FILE the file, COPY the command that copies them into NEW/cur. */
  readonly wayOut: string;
  /** That command where they are too many to be named. */
  readonly copyMany?: string;
}

/** Octets of a file's beginning that are looked at. */
export const HEAD = 4096;

/** So many files are named in a command; of more their folder is. */
export const NAMED_FILES = 12;

const MAKE_MAILDIR =
  "Make a new Maildir of them, one for each such folder, and give that: mkdir -p NEW/cur NEW/new && COPY";
const COPIED_FIELDS =
  "from|to|cc|bcc|subject|date|message-id|received|return-path|reply-to|sender|delivered-to|in-reply-to|references|mime-version|content-[a-z-]+|x?-?status|x-[a-z-]+|user-agent|organization|list-id|dkim-signature";
/** Files that begin with a header that has more than so many fields of mail: an mbox, a picture or a packed file is not copied. */
const copyMail = (files: string, more: number): string =>
  `for f in DIR/${files}; do if [ -f "$f" ] && [ "$(LC_ALL=C sed -nE '1{/^([!-9;-~]+ *:|>From )/!q;};/^[[:space:]]*$/q;p' "$f" | LC_ALL=C grep -ciE '^(${COPIED_FIELDS}) *:')" -gt ${more} ]; then cp "$f" NEW/cur/; fi; done`;
const EXPORT = (program: string): string =>
  `Export it as mbox in ${program}, or copy its messages there to an IMAP account, and give that.`;

const message = (kind: string, one: string, many: string, out: string, copyMany?: string): Foreign => ({
  kind,
  one,
  many,
  isMessage: true,
  wayOut: out,
  ...(copyMany === undefined ? {} : { copyMany }),
});
const file = (kind: string, name: string, out: string): Foreign => ({ kind, one: name, many: name, wayOut: out });

const EMLX = message(
  "emlx",
  "a message of Apple Mail's own store (.emlx)",
  "messages of Apple Mail's own store (.emlx)",
  "In Apple Mail choose Mailbox > Export Mailbox, and give the folder that it writes.",
);
const EML = message(
  "eml",
  "a message in a file by itself (.eml)",
  "messages in files by themselves (.eml)",
  MAKE_MAILDIR,
  "cp DIR/*.[Ee][Mm][Ll] NEW/cur/",
);
const MH = message("mh", "a message of an MH folder", "messages of an MH folder", MAKE_MAILDIR, copyMail("[0-9]*", 1));
const SINGLE = message(
  "single",
  "a message in a file by itself",
  "messages in files by themselves",
  MAKE_MAILDIR,
  copyMail("*", 2),
);
const CNM = message(
  "cnm",
  "a new message of Pegasus Mail (.cnm)",
  "new messages of Pegasus Mail (.cnm)",
  MAKE_MAILDIR,
  "cp DIR/*.[Cc][Nn][Mm] NEW/cur/",
);
const MSG = message("msg", "an Outlook item (.msg)", "Outlook items (.msg)", EXPORT("Outlook"));
const PST = file(
  "pst",
  "an Outlook data file (.pst, .ost)",
  "Copy its folders to an IMAP account in Outlook, and give that; or make mboxes of it with readpst (of libpst): mkdir NEW && readpst -r -o NEW FILE, and give NEW.",
);
const OLM = file(
  "olm",
  "an archive of Outlook for Mac (.olm)",
  EXPORT("Outlook for Mac, or in a program that imports it"),
);
const MMDF = file("mmdf", "a mailbox in MMDF", EXPORT("a program that reads it (mutt does)"));
const BABYL = file("babyl", "a mailbox in Babyl", EXPORT("Emacs Rmail (23 or later writes mbox)"));
const TNEF = file(
  "tnef",
  "mail of Outlook in TNEF (winmail.dat)",
  "Unpack it with tnef or ytnef; what it holds is read where it is a message in a Maildir or an mbox.",
);
const DBX = file(
  "dbx",
  "a folder of Outlook Express (.dbx)",
  EXPORT("a program that imports it (Thunderbird's add-ons do)"),
);
const OE4 = file("oe4", "a folder of Outlook Express 4 (.mbx)", EXPORT("a program that imports it"));
const PEGASUS = file("pegasus", "a folder of Pegasus Mail (.pmm)", EXPORT("Pegasus Mail"));
const THE_BAT = file(
  "thebat",
  "a folder of The Bat! (.tbb)",
  EXPORT("The Bat! (Tools > Export messages > Unix mailbox)"),
);
const MBX = file("mbx", "a mailbox in UW IMAP's mbx", EXPORT("a program that reads it (UW IMAP's mailutil does)"));
const MIX = file("mix", "a mailbox in UW IMAP's mix", EXPORT("a program that reads it (UW IMAP's mailutil does)"));
const NSF = file("nsf", "a database of Lotus Notes (.nsf)", EXPORT("Notes"));
const DBOX = file("dbox", "a mailbox in Dovecot's dbox", "Give the account, through the server: imaps://USER@HOST.");
const WINDOWS_MAIL = file("wlm", "a database of Windows Mail", EXPORT("Windows Mail"));
const OPERA = file("mbs", "a mailbox of Opera Mail (.mbs)", EXPORT("Opera Mail"));
/** What unpacking takes off a name. */
const PACKED_END = /\.(?:gz|bz2|xz|zst|lz4|z|br|7z|rar)$/i;
/** Told by what is in them; see packed.ts. `UNPACKED` becomes the file as it is called then. */
export const PACKED = file("packed", "a packed mailbox", "Unpack it, and give what was in it: mbox:UNPACKED.");
export const PACKED_TREE = file(
  "archive",
  "a packed archive that holds mail",
  "Unpack it, and give the folder that it makes.",
);
export const OUR_ZIP = file("mboxzip", "an archive of mailferry's", "Give it by itself: mboxzip:FILE");

const TEXT = (head: Buffer, text: string): boolean => head.toString("latin1", 0, text.length) === text;

/** The form that a file is in; undefined where it is none, or is read. `head` are its first octets. */
export function foreignKind(name: string, head: Buffer): Foreign | undefined {
  const end = /\.([a-z0-9]+)$/i.exec(name)?.[1]?.toLowerCase() ?? "";
  if (TEXT(head, "!BDN")) return PST;
  if (TEXT(head, "\x01\x01\x01\x01\n") || TEXT(head, "\x01\x01\x01\x01\r")) return MMDF;
  if (TEXT(head, "BABYL OPTIONS:")) return BABYL;
  if (TEXT(head, "\x78\x9f\x3e\x22")) return TNEF;
  if (TEXT(head, "\xcf\xad\x12\xfe")) return DBX;
  if (TEXT(head, "JMF")) return OE4;
  if (TEXT(head, "*mbx*\r\n")) return MBX;
  if (TEXT(head, "\xd0\xcf\x11\xe0") && end === "msg") return MSG;
  if (TEXT(head, "\x1a\x00\x00\x04\x00\x00") && end === "nsf") return NSF;
  if (end === "olm") return OLM;
  if (end === "pst" || end === "ost") return PST;
  if (end === "dbx" && head.length > 0 && !TEXT(head, "From ")) return DBX;
  if (end === "pmm") return PEGASUS;
  if (end === "cnm") return CNM;
  if (end === "tbb") return THE_BAT;
  if (end === "mbs") return OPERA;
  if (end === "emlx" || /^\d+ *\r?\n[A-Za-z-]+:/.test(head.toString("latin1", 0, 200))) return EMLX;
  if (name === "WindowsMail.MSMessageStore" || name === "Mail.MSMessageStore") return WINDOWS_MAIL;
  if (/^\.mix(?:meta|status|index)$/.test(name)) return MIX;
  if (/^[mu]\.\d+$/.test(name) && /^[12] M[0-9a-f]+ /.test(head.toString("latin1", 0, 64))) return DBOX;
  if (end === "eml") return EML;
  if (/^\d+$/.test(name) && fieldsOfMail(head, 0, 2) > 1) return MH;
  if (fieldsOfMail(head, 0, 3) > 2) return SINGLE;
  return undefined;
}

/** What stands for all of one form in one folder: "3 messages of …", without a word in front. */
export function describeForeign({ one, many, isMessage }: Foreign, count: number): string {
  if (isMessage !== true) return one;
  return count === 1 ? one : `${count} ${many}`;
}

/** The way out with the places in it, as a shell takes them; `files` are all that it speaks of, undefined where they are many. */
export function wayOut(form: Foreign, directory: string, path: string, files?: readonly string[]): string {
  const copy = files === undefined ? form.copyMany : copyNamed(files);
  const text = form.copyMany === undefined ? form.wayOut : form.wayOut.replace("COPY", () => copy ?? "");
  if (form.copyMany !== undefined && files !== undefined) return text;
  return text.replace(/DIR|FILE|UNPACKED/g, (place) => {
    if (place === "UNPACKED") return PACKED_END.test(path) ? shellWord(path.replace(PACKED_END, "")) : place;
    return shellWord(place === "DIR" ? directory : path);
  });
}

/** Files with a hidden name are none of a Maildir's messages, and get another. */
function copyNamed(files: readonly string[]): string {
  const isHidden = (file: string): boolean => basename(file).startsWith(".");
  const plain = files.filter((file) => !isHidden(file)).map(shellWord);
  const hidden = files
    .filter(isHidden)
    .map((file) => `cp ${shellWord(file)} NEW/cur/${shellWord(`hidden${basename(file)}`)}`);
  return [...(plain.length > 0 ? [`cp ${plain.join(" ")} NEW/cur/`] : []), ...hidden].join(" && ");
}

/** A path as one word for a shell, and for a person where that is the same. */
export function shellWord(path: string): string {
  return /^(?!~)[\w./@+~:-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
