// Names on a disk that tell what something is: what mail programs keep beside their mail, and what is no mail at all.

/** Mail programs' own files beside their mboxes, unless they begin as an mbox does. */
export const INDEX =
  /\.(?:msf|lock|index|cmeta|snm|toc|ibex|data|ids|sorted)$|^(?:table_of_contents|\.mh_sequences|\.xmhcache|\.mew-.*|\.overview)$/i;
/** Files that programs leave empty and that are no mailbox. */
export const NOT_MAIL = /\.(?:dat|json|html?|txt|js|ini|sqlite|db|log|xml|csv|plist|eml|zip)$/i;
/** Never looked through for a first separator: large, and no mail. */
export const MEDIA =
  /\.(?:jpe?g|png|gif|webp|heic|tiff?|bmp|pdf|mp[34]|m4[av]|mov|avi|mkv|flac|ogg|wav|iso|img|exe|dll|so|sqlite|db)$/i;
/** What servers and programs keep in a Maildir beside its mail. */
export const SERVICE =
  /^(?:\.?dovecot[.-].*|dovecot|\.?subscriptions|maildirfolder|maildirsize|courier.*|mailferry-.*|\.uidvalidity|\.mbsyncstate.*|\.isyncuidmap.*|\.offlineimap.*|\.gmailieer.*|\.state.*|\.mailboxlist|\.sieve.*|shared-maildirs|cyrus\..*|\.\.maildir\+\+|\.DS_Store|Thumbs\.db|desktop\.ini)$/i;
/** Directories of other programs, in which nothing is looked for. */
const LITTER =
  /^(?:\.git|\.svn|\.hg|\.bzr|\.notmuch|\.mu|\.xapian|\.snapshots?|\.zfs|\.AppleDouble|\.Spotlight-V100|\.fseventsd|\.TemporaryItems|\.@__thumb|@eaDir|#snapshot|lost\+found|\.cache|\.gnupg|\.ssh|node_modules|\.mailferry.*|courierimap.*|\.imap)$/i;
/** What a lock is linked to: no path, but a host and a process. */
const LOCK = /^[^/]*(?::\+?\d+|@[^/]*\.\d+(?::\d+)?)$/;

export function isLitter(directory: string): boolean {
  return LITTER.test(directory);
}

export function isLock(link: string): boolean {
  return LOCK.test(link);
}

/** KMail keeps the folders below X in ".X.directory" beside it: X; undefined for any other name. */
export function kmailParent(directory: string): string | undefined {
  return /^\.(.+)\.directory$/s.exec(directory)?.[1];
}
