// The bounds of a POP3 conversation: how long a line, a wait and a listing may be, and how far commands run ahead.

/** Octets of one reply line. RFC 2449 4 allows 512; SASL challenges (RFC 4954 4.5) up to 12,288. */
export const REPLY_LINE_LIMIT = 16 * 1024;
/** Octets of one line of a CAPA, LIST or UIDL answer. RFC 1939 7 allows a UIDL 70; some servers write more. */
export const LISTING_LINE_LIMIT = 4 * 1024;
/** Lines of a CAPA answer. */
export const CAPABILITY_LIMIT = 1_000;
/** Messages of one maildrop: what is announced beyond is no maildrop but an attack on our memory. */
export const MESSAGE_LIMIT = 16_000_000;
/** Octets of all UIDLs of one maildrop (16 million would take 1 GB: refused sooner). */
export const UIDL_OCTETS_LIMIT = 512 * 1024 * 1024;
/** Octets of one command line with its CRLF (RFC 2449 4); what is longer goes as a SASL continuation. */
export const COMMAND_LIMIT = 255;

/** From the first packet to the greeting, each step. */
export const CONNECT_TIMEOUT_MS = 30_000;
/** Silence while we wait for an answer. A server may read a large message from slow storage before its first octet. */
export const INACTIVITY_TIMEOUT_MS = 120_000;
/** The same for a message that ended a connection before, and is asked for alone. */
export const SUSPECT_TIMEOUT_MS = 30_000;
/** A goodbye that matters to nobody (nothing was marked deleted) is not waited for longer. */
export const GOODBYE_TIMEOUT_MS = 5_000;

/**
 * RETR or DELE commands whose answers may be outstanding (RFC 2449 6.6): enough to keep a fast line full over 150 ms. The
 * answers wait at the server and in the sockets, not in our memory; the commands, 11 KB, fit into any socket's buffers.
 */
export const PIPELINE_COMMANDS = 1024;
/** Commands that are sent together: a packet each would cost more than it wins. */
export const PIPELINE_BUNCH = 64;
/** Announced octets of the RETRs that may be outstanding; one message may be larger. */
export const PIPELINE_OCTETS = 16 * 1024 * 1024;
/** A message up to here is handed out whole, as one buffer. What is larger is streamed. */
export const WHOLE_OCTETS = 256 * 1024;
/** What a RETR counts for when LIST did not tell its size. */
export const UNKNOWN_SIZE = 64 * 1024;

/** Waits, for tests and slow lines; the defaults are above. */
export interface Timing {
  readonly connectMs?: number;
  readonly inactivityMs?: number;
  /** Called with the server's first word. */
  readonly onGreeting?: () => void;
}

/** What a header is reckoned at, whose length no server tells beforehand. */
export const HEAD_OCTETS = 8192;
