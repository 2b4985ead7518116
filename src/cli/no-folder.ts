// A shell may stand in a folder that is gone; whatever path is relative then means nothing.

export const NO_FOLDER = {
  message: "the folder that this command was started in is not there any more",
  hint: "Go to another one, and run it again.",
} as const;

/** Whether this error says so. */
export function isNoFolder(error: unknown): boolean {
  return error instanceof Error && "syscall" in error && error.syscall === "uv_cwd";
}
