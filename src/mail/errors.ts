// The error words of mail. They live in core, so that locks and files at the very bottom can speak them too.

export * from "../core/errors.ts";
