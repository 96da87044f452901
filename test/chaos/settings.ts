// How durable a record is when it is acknowledged: the columns of the table in docs/OPERATIONS.md.
export const SETTINGS = {
  R1: { natsServers: 1, syncInterval: '2m' },
  'R1, sync 10s': { natsServers: 1, syncInterval: '10s' },
  'R1, sync 1s': { natsServers: 1, syncInterval: '1s' },
  'R1, sync always': { natsServers: 1, syncInterval: 'always' },
  R3: { natsServers: 3, syncInterval: '2m' },
  'R3, sync always': { natsServers: 3, syncInterval: 'always' },
} as const;
export type Setting = keyof typeof SETTINGS;
