import { expect, onTestFinished, test } from 'vitest';
import { createAdminClient } from '../../services/cli/admin-client.ts';
import { fetchText, queryRows, queryValue, waitFor } from '../../services/cli/demo/collect.ts';
import type { CallOutcome } from '../../services/cli/demo/drive.ts';
import { drive } from '../../services/cli/demo/drive.ts';
import { BLOCKED_TENANT, planCalls } from '../../services/cli/demo/plan.ts';
import { createRandom } from '../../services/cli/demo/random.ts';
import { createDemoHouse, startSandboxProcess } from '../../services/cli/demo/setup.ts';
import { generateTrace } from '../../services/cli/demo/trace.ts';
import type { House } from '../../services/cli/house.ts';
import { houseReady, startHouse } from '../../services/cli/house.ts';
import { houseSecret } from '../../services/platform/config.ts';
import { createLogger } from '../../services/platform/logger.ts';

/**
 * Goal: whatever dies, and whenever, nothing is lost and nothing is counted twice. Method: real traffic through the real
 * processes, kill -9 of proxy, back office or both at random moments, restart by the supervisor; then the books are compared
 * with what clients saw and with what the provider charged.
 */
const KILLS = 24;
const CALLS = 6000;
const SEED = Number(process.env['KILL_SEED'] ?? Date.now() % 1_000_000);

const killSomebody = async (
  house: House,
  random: ReturnType<typeof createRandom>,
): Promise<void> => {
  const victims = random.pick([
    [[house.proxy], 2],
    [[house.backOffice], 2],
    [[house.proxy, house.backOffice], 1],
  ] as const);
  const pids = victims.map((victim) => victim.pid());
  for (const pid of pids) if (pid !== null) process.kill(pid, 'SIGKILL');
  // The supervisor must have noticed before anybody may call the house ready again.
  const { satisfied } = await waitFor(
    async () => victims.every((victim, index) => victim.pid() !== pids[index]),
    (noticed) => noticed,
    { timeoutMs: 10_000, everyMs: 5 },
  );
  expect(satisfied).toBe(true);
};

test(`nothing lost and nothing twice over ${KILLS} kills of proxy, back office or both (seed ${SEED})`, async () => {
  const random = createRandom(SEED);
  const sandbox = await startSandboxProcess();
  onTestFinished(() => sandbox.stop());
  const demo = createDemoHouse(sandbox, '1000000', process.env);
  onTestFinished(() => demo.remove());
  const house = startHouse({
    configPath: demo.configPath,
    env: demo.env,
    logger: createLogger('supervisor', 'error'),
  });
  onTestFinished(() => house.stop());
  await houseReady(house);

  const calls = planCalls(random, generateTrace(random, CALLS)).filter(
    (call) => call.tenant !== BLOCKED_TENANT,
  );
  const outcomes: CallOutcome[] = [];
  let trafficOver = false;
  const traffic = drive({
    calls,
    proxyUrl: () => house.proxy.url() ?? 'http://127.0.0.1:1',
    keyOf: demo.keyOf,
    concurrency: 16,
    connectAttempts: 200,
    settled: async () => {},
    onOutcome: (outcome) => outcomes.push(outcome),
  }).finally(() => {
    trafficOver = true;
  });

  let kills = 0;
  while (kills < KILLS) {
    await houseReady(house);
    const before = outcomes.length;
    const progress = random.integer(1, 120);
    await waitFor(
      async () => outcomes.length,
      (count) => count >= before + progress || trafficOver,
      { timeoutMs: 5_000, everyMs: 5 },
    );
    await killSomebody(house, random);
    kills += 1;
  }
  await traffic;
  await houseReady(house);

  const token = houseSecret(`${demo.directory}/data`, 'bootstrap-token');
  const admin = createAdminClient(house.backOffice.url() ?? '', token);
  const settled = await waitFor(
    () =>
      admin.get<{ lag_events: number | null; control_totals: { verdict: string } }>(
        '/api/v1/totals',
      ),
    (totals) => totals.lag_events === 0 && totals.control_totals.verdict === 'equal',
    { timeoutMs: 60_000, everyMs: 100 },
  );
  expect(settled.satisfied, 'everything drained within a minute').toBe(true);

  // Every call whose answer reached the client whole is in the ledger exactly once.
  const charged = new Map(
    (
      await queryRows(
        admin,
        `SELECT request_id, count() AS n FROM usage WHERE ending IN ('reported','drained') GROUP BY request_id`,
      )
    ).map((row) => [row['request_id'], row['n']]),
  );
  const completed = outcomes.filter((outcome) => outcome.completed && outcome.status === 200);
  expect(completed.length).toBeGreaterThan(calls.length / 2);
  const wrong = completed.filter((outcome) => charged.get(outcome.requestId ?? '') !== '1');
  expect(
    wrong.map((outcome) => [outcome.call.id, charged.get(outcome.requestId ?? '') ?? '0']),
  ).toEqual([]);

  // No provider call has two events, and each without one is covered by an event that recovery wrote.
  expect(
    await queryValue(
      admin,
      `SELECT count() FROM (SELECT provider_request_id FROM usage WHERE provider_request_id != '' GROUP BY provider, provider_request_id HAVING count() > 1)`,
    ),
  ).toBe('0');
  expect(
    await queryValue(
      admin,
      'SELECT count() FROM (SELECT attempt_id FROM usage GROUP BY attempt_id HAVING count() > 1)',
    ),
  ).toBe('0');
  const bill = JSON.parse(await fetchText(`${sandbox.url}/sandbox/bill`)) as {
    items: { provider_request_id: string }[];
  };
  const known = new Set(
    (
      await queryRows(
        admin,
        `SELECT provider_request_id AS id FROM usage WHERE provider_request_id != ''`,
      )
    ).map((row) => row['id']),
  );
  const unseen = bill.items.filter((item) => !known.has(item.provider_request_id)).length;
  const recovered = Number(
    await queryValue(admin, `SELECT count() FROM usage WHERE provider_request_id = ''`),
  );
  expect(unseen).toBeLessThanOrEqual(recovered);

  // The sum is the sum, read at its own places.
  const ledger = await queryValue(admin, 'SELECT sum(amount_usd) FROM charges');
  expect(await queryValue(admin, 'SELECT sum(amount_usd) FROM spend_hourly')).toBe(ledger);
  expect(await queryValue(admin, 'SELECT sum(amount_usd) FROM spend_daily')).toBe(ledger);
  console.log(
    `${kills} kills, ${outcomes.length} calls, ${completed.length} completed, ${recovered} recovered, ${unseen} provider calls without a closed event, ledger ${ledger} USD`,
  );
});
