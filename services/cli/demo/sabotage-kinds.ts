/** What the demo can damage on the way, to show that its proof fails. */
export const SABOTAGES = [
  'drop-event',
  'double-event',
  'one-cent',
  'wrong-class',
  'wrong-tenant',
] as const;
export type Sabotage = (typeof SABOTAGES)[number];
