// The names of the tools that Tailrace runs, as requests may ask for them.
export const SERVED_TOOLS: ReadonlySet<string> = new Set<string>();
