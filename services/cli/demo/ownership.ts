import type { AdminClient } from '../admin-client.ts';
import { queryRows } from './collect.ts';
import type { CallOutcome } from './drive.ts';

const PAGE_ROWS = 5_000;

/** Who pays for each request, by archive and ledger together: one `tenant/feature` where they agree. */
const readOwners = async (admin: AdminClient): Promise<Map<string, string>> => {
  const owners = new Map<string, string>();
  for (let after = ''; ; ) {
    const rows = await queryRows(
      admin,
      `SELECT request_id, arrayStringConcat(arraySort(groupUniqArray(owner)), ' and ') AS owners FROM
       (
         SELECT request_id, concat(tenant, '/', feature) AS owner FROM usage WHERE request_id > '${after}'
         UNION ALL
         SELECT request_id, concat(tenant, '/', feature) AS owner FROM charges WHERE request_id > '${after}'
       ) GROUP BY request_id ORDER BY request_id LIMIT ${PAGE_ROWS}`,
    );
    for (const row of rows) owners.set(row['request_id'] ?? '', row['owners'] ?? '');
    if (rows.length < PAGE_ROWS) return owners;
    after = rows.at(-1)?.['request_id'] ?? '';
  }
};

/**
 * Compares who made each call, as the client knows it, with who is charged for it. No statement of a provider tells: to it all tenants
 * are one customer. @returns a sentence for each call on somebody else's books.
 */
export const findWrongOwners = async (
  admin: AdminClient,
  outcomes: readonly CallOutcome[],
): Promise<string[]> => {
  const owners = await readOwners(admin);
  return outcomes.flatMap(({ call, requestId }) => {
    const made = `${call.tenant}/${call.feature}`;
    const charged = requestId === null ? undefined : owners.get(requestId);
    if (charged === undefined || charged === made) return [];
    return [
      `wrong owner: each attempt of request ${requestId} was made for ${made}, and the books say ${charged}`,
    ];
  });
};
