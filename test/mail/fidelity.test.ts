// What a folder can keep: every trait is either kept or named as lost, and a change leads exactly where it should.

import { describe, expect, it } from "vitest";
import {
  applyChange,
  common,
  difference,
  type Fidelity,
  FULL_FIDELITY,
  type Loss,
  NO_FIDELITY,
  narrow,
} from "../../src/mail/fidelity.ts";
import { NO_TRAITS, SYSTEM_FLAGS, type Traits } from "../../src/mail/model.ts";
import { random, someTraits } from "../migrate/journal-kit.ts";

const traits = (more: Partial<Traits> = {}): Traits => ({ ...NO_TRAITS, ...more });
const everything = traits({
  flags: new Set(SYSTEM_FLAGS),
  keywords: new Set(["$Forwarded", "Später"]),
  labels: new Set(["Work/2024"]),
  received: { epochSeconds: 5, zoneMinutes: 60 },
});

describe("narrowing", () => {
  it("keeps all where all can be kept, zone included", () => {
    expect(narrow(everything, FULL_FIDELITY)).toEqual({ kept: everything, losses: [] });
  });

  it("names every single thing where nothing can be kept", () => {
    const { kept, losses } = narrow(everything, NO_FIDELITY);
    expect(kept).toEqual(NO_TRAITS);
    expect(losses.length).toBe(5 + 2 + 1 + 1);
  });

  it("finds nothing lost in a message without traits", () => {
    expect(narrow(NO_TRAITS, NO_FIDELITY)).toEqual({ kept: NO_TRAITS, losses: [] });
  });

  it("keeps a keyword whatever its case, in the source's spelling", () => {
    const fidelity: Fidelity = { ...NO_FIDELITY, keywords: new Set(["$forwarded", "später"]) };
    const { kept, losses } = narrow(traits({ keywords: new Set(["$FORWARDED", "SPÄTER", "other"]) }), fidelity);
    expect([...kept.keywords]).toEqual(["$FORWARDED", "SPÄTER"]);
    expect(losses).toEqual([{ kind: "keyword", name: "other" }]);
  });

  it("accounts for every trait of thousands of random messages exactly once", () => {
    const pick = random(3);
    for (let round = 0; round < 2000; round++) {
      const fidelity: Fidelity = {
        flags: someTraits(pick).flags,
        keywords: pick() < 0.3 ? "any" : new Set([...someTraits(pick).keywords].map((word) => word.toLowerCase())),
        labels: pick() < 0.5,
        received: pick() < 0.5,
      };
      const whole = someTraits(pick);
      const { kept, losses } = narrow(whole, fidelity);
      const count = (set: Traits): number =>
        set.flags.size + set.keywords.size + set.labels.size + (set.received === undefined ? 0 : 1);
      expect(count(kept) + losses.length).toBe(count(whole));
      const names = losses.map((loss: Loss) => JSON.stringify(loss));
      expect(new Set(names).size).toBe(names.length);
      expect(narrow(kept, fidelity)).toEqual({ kept, losses: [] });
    }
  });
});

describe("a change of traits", () => {
  it("leads from any traits to any others, and is none between equal ones", () => {
    const pick = random(5);
    for (let round = 0; round < 2000; round++) {
      const [from, to] = [someTraits(pick), someTraits(pick)];
      const change = difference(from, to);
      const reached = change === undefined ? from : applyChange(from, change);
      expect(difference(reached, to)).toBeUndefined();
      expect(reached.received).toEqual(from.received);
      expect(difference(from, from)).toBeUndefined();
    }
  });

  it("compares keywords without case, flags and labels as they are", () => {
    const upper = traits({ keywords: new Set(["LATER"]) });
    expect(difference(upper, traits({ keywords: new Set(["later"]) }))).toBeUndefined();
    const change = difference(traits({ labels: new Set(["a"]) }), traits({ labels: new Set(["A"]) }));
    expect([change?.add.labels, change?.remove.labels]).toEqual([new Set(["A"]), new Set(["a"])]);
  });

  it("leaves what others have set", () => {
    const change = difference(traits({ flags: new Set(["seen"]) }), traits({ flags: new Set(["flagged"]) }));
    if (change === undefined) throw new Error("there is a change");
    const theirs = traits({ flags: new Set(["seen", "draft"]), keywords: new Set(["own"]) });
    expect(applyChange(theirs, change)).toEqual(
      traits({ flags: new Set(["draft", "flagged"]), keywords: new Set(["own"]) }),
    );
  });

  it("adds no keyword twice that is there in another case, and removes it in any", () => {
    const theirs = traits({ keywords: new Set(["Later", "Own"]) });
    const added = applyChange(theirs, {
      add: { ...NO_TRAITS, keywords: new Set(["LATER", "new"]) },
      remove: { ...NO_TRAITS, keywords: new Set(["OWN"]) },
    });
    expect(added.keywords).toEqual(new Set(["Later", "new"]));
  });

  it("does not change the sets that it is given", () => {
    const before = traits({ flags: new Set(["seen"]), keywords: new Set(["a"]), labels: new Set(["l"]) });
    const copy = structuredClone(before);
    applyChange(before, { add: everything, remove: before });
    expect(before).toEqual(copy);
  });
});

describe("the common ground of two stores", () => {
  it("is what both can keep, whichever comes first", () => {
    const a: Fidelity = {
      flags: new Set(["seen", "draft"]),
      keywords: new Set(["x", "y"]),
      labels: true,
      received: true,
    };
    const b: Fidelity = { flags: new Set(["seen"]), keywords: new Set(["y", "z"]), labels: true, received: false };
    const both = { flags: new Set(["seen"]), keywords: new Set(["y"]), labels: true, received: false };
    expect(common(a, b)).toEqual(both);
    expect(common(b, a)).toEqual(both);
    expect(common(a, FULL_FIDELITY)).toEqual(a);
    expect(common(FULL_FIDELITY, a)).toEqual(a);
    expect(common(FULL_FIDELITY, FULL_FIDELITY)).toEqual(FULL_FIDELITY);
  });
});
