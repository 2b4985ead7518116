// What a session gives of the messages that are wanted: one that is refused fails alone; where the server gives no more, it ends.

import { MailError } from "../../mail/errors.ts";
import type { Listing } from "./listing.ts";
import type { Retrieved } from "./retrieve.ts";
import type { Pop3Session } from "./session.ts";

/** Words about how much may be fetched, not about a message. */
const LIMIT = /^(?!.*\b(?:large|big|size)\b).*\b(?:exceed|quota|limit|too (?:much|many)\b|download)/is;
/** Refusals one after the other, from which on no more is asked for before it is known what they are about. */
const IN_A_ROW = 20;
/** The same of refusals that the server calls passing ones. */
const PASSING_IN_A_ROW = 3;

export interface Giving {
  readonly listing: Listing;
  readonly place: string;
  /** One command at a time; what is refused is refused. */
  readonly alone: boolean;
}

/**
 * The chosen messages of a listing, in order, those that are refused among them. Throws a MailError of scope account when nothing is
 * given any more, not even what was given before or is to be had already (a control): none of the messages is to blame then.
 */
export async function* given(session: Pop3Session, { listing, place, alone }: Giving): AsyncGenerator<Retrieved> {
  const size = (number: number): number | undefined => listing.size(number);
  const wanted = listing.chosen();
  /** Refused since the last one that was given. */
  let row: Retrieved[] = [];
  let control: number | undefined;
  let count = 0;
  let isHeldBack = false;
  function* numbers(): Generator<number> {
    while (!isHeldBack) {
      const next = wanted.next();
      if (next.done === true) return;
      yield next.value;
    }
  }
  for (;;) {
    const before = count;
    for await (const message of session.retrieve(numbers(), size, { alone })) {
      count++;
      if (message.refused === undefined) {
        yield* row;
        row = [];
        control = smaller(listing, control, message.number);
        yield message;
        continue;
      }
      row.push({ number: message.number, content: failing(message.refused), refused: message.refused });
      isHeldBack = !alone && row.length >= enough(message.refused);
    }
    if (row.length > 0 && !alone && (await isShut())) throw shut();
    yield* row;
    row = [];
    isHeldBack = false;
    if (count === before) return;
  }

  /** Whether it is not about these messages: one that is to be had is refused as well. */
  async function isShut(): Promise<boolean> {
    const words = row.some(({ refused }) => refused !== undefined && LIMIT.test(refused.message));
    if (row.length === 1 && !words) return false;
    const other = control ?? unwanted(listing);
    if (other === undefined) return words || row.length >= IN_A_ROW;
    try {
      for await (const { refused } of session.retrieve([other], size)) if (refused !== undefined) return true;
      return false;
    } catch (error) {
      // It said so, and hung up.
      if (error instanceof MailError && error.code === "connection") return true;
      throw error;
    }
  }

  function shut(): MailError {
    const said = row[0]?.refused?.message ?? "";
    // Where this session was given some, the next may be given more.
    const goesOn = control !== undefined;
    return new MailError(goesOn ? "connection" : "quota", `${place} gives no more messages just now: ${said}`, {
      scope: "account",
      remedy: goesOn ? "retry" : "give-up",
      outcome: "none",
      hint: "Wait, and run the same command again; it goes on where it stopped.",
    });
  }
}

// biome-ignore lint/correctness/useYield: it fails before it has anything to give
async function* failing(error: MailError): AsyncGenerator<Uint8Array> {
  throw error;
}

/** So many refusals like this one, one after the other, are no longer believed to be about single messages. */
export function enough({ message, code }: MailError): number {
  return LIMIT.test(message) ? 1 : code === "connection" ? PASSING_IN_A_ROW : IN_A_ROW;
}

function smaller(listing: Listing, one: number | undefined, other: number): number {
  if (one === undefined) return other;
  return (listing.size(other) ?? 0) < (listing.size(one) ?? 0) ? other : one;
}

/** The smallest that nobody asked for: it came to the target in another run or pass. */
function unwanted(listing: Listing): number | undefined {
  let found: number | undefined;
  for (const number of listing.numbers()) if (!listing.isChosen(number)) found = smaller(listing, found, number);
  return found;
}
