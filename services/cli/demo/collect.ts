import { request } from 'undici';
import type { AdminClient } from '../admin-client.ts';

/** Rows of a read-only query as objects. Decimals and 64-bit integers are strings. */
export const queryRows = async (
  admin: AdminClient,
  sql: string,
): Promise<Record<string, string>[]> => {
  const answer = await admin.post<{ columns: { name: string }[]; rows: unknown[][] }>(
    '/api/v1/sql',
    { sql },
  );
  return answer.rows.map((row) =>
    Object.fromEntries(answer.columns.map(({ name }, index) => [name, String(row[index] ?? '')])),
  );
};

/** The one value of a query of one row and column. */
export const queryValue = async (admin: AdminClient, sql: string): Promise<string> =>
  Object.values((await queryRows(admin, sql))[0] ?? {})[0] ?? '';

export const fetchText = async (url: string): Promise<string> => {
  const response = await request(url);
  const text = await response.body.text();
  if (response.statusCode !== 200) throw new Error(`${url} answered ${response.statusCode}`);
  return text;
};

/** Asks until the answer satisfies, or until the deadline; gives the last answer and whether it satisfied. */
export const waitFor = async <Answer>(
  ask: () => Promise<Answer>,
  satisfied: (answer: Answer) => boolean,
  { timeoutMs, everyMs }: { timeoutMs: number; everyMs: number },
): Promise<{ answer: Answer; satisfied: boolean }> => {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (satisfied(answer)) return { answer, satisfied: true };
    if (performance.now() > deadline) return { answer, satisfied: false };
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
};
