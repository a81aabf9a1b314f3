import { request } from 'undici';

/** What the demo can damage on the way, to show that its proof fails. */
export const SABOTAGES = [
  'drop-event',
  'double-event',
  'one-cent',
  'wrong-class',
  'wrong-tenant',
] as const;
export type Sabotage = (typeof SABOTAGES)[number];

/**
 * The one that is done to the provider's statement: inside the house the ledger refuses an amount that is not quantity x price, and a
 * cent cannot be smuggled in.
 */
export const STATEMENT_SABOTAGE = 'one-cent';
export type PipelineSabotage = Exclude<Sabotage, typeof STATEMENT_SABOTAGE>;

/** Has the sandbox provider print a statement whose first line is a cent too high. */
export const addOneCent = async (sandboxUrl: string): Promise<void> => {
  const response = await request(`${sandboxUrl}/sandbox/tamper`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ provider: 'openai', usd: '0.01' }),
  });
  await response.body.dump();
};
