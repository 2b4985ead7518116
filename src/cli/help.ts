// The words of --help: the verbs with their examples, the endpoints, passwords and exit codes.

interface VerbHelp {
  /** Its positional arguments, as yargs reads them. */
  readonly usage: string;
  readonly summary: string;
  readonly text: string;
  /** What follows "mailferry VERB", and what it does. */
  readonly examples: readonly (readonly [string, string])[];
}

export type Verb = "backup" | "migrate" | "drain" | "restore" | "verify" | "folders";

export const VERBS: Readonly<Record<Verb, VerbHelp>> = {
  backup: {
    usage: "<source> <archive>",
    summary: "Copy an account (or any source) to an archive on disk",
    text:
      "Copies every message of the source that the archive does not hold yet. Run it again at any time: only what is new is " +
      "transferred, and what was interrupted goes on. An archive never loses mail because the server did. A FILE.zip is written " +
      "once: run again, it is compared with the source, and what it does not hold is named (exit code 3).",
    examples: [
      ["imaps://me@imap.example.org maildir:./mail", "an account to a Maildir"],
      [
        "imaps://me@imap.example.org mail-2024.zip --since 2024-01-01 --before 2025-01-01",
        "one year to a zip that any mail program can open",
      ],
      ["imaps://me@imap.example.org ./mail --folder 'Clients/**' --exclude Trash", "some of its folders"],
    ],
  },
  migrate: {
    usage: "<source> <target>",
    summary: "Copy folders from one account to another",
    text:
      "Copies every message that the target does not hold yet, with its flags and dates. With --move, messages are deleted " +
      "from the source after their copies were read back and found equal.",
    examples: [
      ["imaps://me@old.example.org imaps://me@new.example.com", "a whole account"],
      ["imaps://me@old.example.org imaps://me@new.example.com --dry-run", "what it would do"],
      ["imaps://a@old.example.org imaps://b@new.example.com --folder 'Team/**' --move", "move a tree of folders"],
      ["imaps://a@old.example.org imaps://b@new.example.com --into 'Old account'", "everything below one folder"],
    ],
  },
  drain: {
    usage: "<source> <archive>",
    summary: "Move a POP maildrop (or an IMAP account) into an archive",
    text:
      "Copies every message to the archive, and deletes from the maildrop what is durably in it and was read back. " +
      "--leave keeps all in the maildrop, --leave-for 14d what has been archived for less than that. An IMAP account is drained " +
      "of all its folders, unless --folder names some. A terminal is asked above 1,000 messages, and before the first deletion " +
      "in an IMAP account; --yes answers.",
    examples: [
      ["pop3s://me@pop.example.org maildir:./mail", "empty a maildrop into a Maildir"],
      ["pop3s://me@pop.example.org maildir:./mail --leave-for 14d", "keep two weeks on the server"],
    ],
  },
  restore: {
    usage: "<archive> <target>",
    summary: "Copy an archive back to an account",
    text: "Copies every message of the archive that the target does not hold yet, byte for byte, with its flags and dates.",
    examples: [
      ["maildir:./mail imaps://me@imap.example.org", "a whole archive"],
      [
        "mail-2024.zip imaps://me@imap.example.org --folder 'Clients/**' --into Restored",
        "some folders, to another place",
      ],
      ["mbox:~/old/Inbox imaps://me@imap.example.org", "an mbox that some mail program left"],
    ],
  },
  verify: {
    usage: "<source> [target]",
    summary: "Compare two places, or check one archive by itself",
    text:
      "With two places: every message of the source must be in the target. Missing and changed ones are differences; what only " +
      "the target has is reported, and counts with --both-ways. With one archive: its manifest, checksums, keys and names. " +
      "Changes nothing. Differences end with exit code 6.",
    examples: [
      ["imaps://me@imap.example.org maildir:./mail", "is everything in the backup?"],
      ["mail-2024.zip", "is the archive sound?"],
    ],
  },
  folders: {
    usage: "<endpoint>",
    summary: "List the folders of a place: names, use, messages, bytes",
    text: "Prints a table on stdout (with --json, a line a folder). Changes nothing.",
    examples: [
      ["imaps://me@imap.example.org", "what is there"],
      ["mail-2024.zip --folder 'Clients/**'", "some folders of an archive"],
    ],
  },
};

export const FOOTER = `Endpoints:
  imaps://user@host[:port]   IMAP over TLS
  imap://user@host[:port]    IMAP with STARTTLS, mandatory
  pop3s://, pop3://          POP3 over TLS, or with STLS, mandatory
  mbox:FILE, mbox:DIR        an mbox, or a tree of them; read only
  maildir:DIR                a Maildir++
  mboxzip:FILE.zip           a zip with an mbox a folder, written once
  mboxzip:DIR                a folder that grows by such a zip a run
  A bare path is recognised. A user may hold an "@".
  Options of one endpoint follow a "?", joined by "&":
    servers  ca=FILE, fingerprint=sha256:HEX (trust this certificate),
             tls=none (cleartext: loopback only);
             IMAP also connections=N, compress=on
    mboxzip  store=on (don't compress)
    mbox     dialect=auto|rd|o|cl|cl2|blank|every, raw=on (keep their headers)

Passwords are never part of the command line. In this order:
  --source-password-file F, --source-password-command CMD (and --target-…),
  MAILFERRY_SOURCE_PASSWORD, MAILFERRY_TARGET_PASSWORD in the environment,
  or a prompt on a terminal. Without a terminal nothing is asked.

What is printed where:
  stderr  bars, notices, and the report at the end
  stdout  the events of --json, the plan of --dry-run, the tables of folders
          and verify
  MAILFERRY_TRACE=1 (or a file) writes the conversations, secrets hidden.

Exit codes:
  0  complete                           4  login refused
  1  a bug                              5  temporary (network, quota, disk
  2  usage or configuration                full): run it again
  3  finished, but messages failed or   6  verify found differences
     the balance does not close, or     130, 143  interrupted
     not all that was asked for is
     there or could be read

Start with:
  mailferry folders imaps://me@imap.example.org
  mailferry backup imaps://me@imap.example.org maildir:./mail
  mailferry migrate imaps://me@old.example.org imaps://me@new.example.com --dry-run`;
