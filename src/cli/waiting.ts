// A word while a server owes us something and says nothing: it may take minutes until it is given up.

import { type Endpoint, showEndpoint } from "../endpoints.ts";
import type { OnSilence } from "../protocol/silence.ts";
import type { Ui } from "./ui.ts";

/** Says it once as long as any connection to this account waits, however many do. */
export function tellSilence(endpoint: Endpoint, ui: Pick<Ui, "say">): OnSilence {
  let waiting = 0;
  return (owed) => {
    if (waiting++ === 0)
      ui.say(
        `still waiting for ${showEndpoint(endpoint)}: ${owed === "login" ? "it has not let us in yet" : "it has not answered for some seconds"}`,
      );
    let isOver = false;
    return () => {
      if (!isOver) waiting--;
      isOver = true;
    };
  };
}
