import { addAmounts, compareAmounts, negateAmount } from '../../../pricing/money.ts';
import type { BillingRun, ChargebeePlan } from '../../biller/main.ts';
import type { BillingPlan } from '../../biller/plan-period.ts';
import type { BillingProof } from '../../biller/verify-pushes.ts';
import type { ReconciliationReport } from '../../reconciler/core/report.ts';
import type { AdminClient } from '../admin-client.ts';
import { fetchText, queryRows, queryValue, waitFor } from './collect.ts';
import type { CallOutcome } from './drive.ts';
import type { Findings } from './judge.ts';
import { judge } from './judge.ts';
import { findWrongOwners } from './ownership.ts';
import { BLOCKED_TENANT } from './plan.ts';
import type { Blocked, DemoResult, PushProof } from './result.ts';
import { signalSeen } from './settle-gate.ts';

export interface ProofInput {
  admin: AdminClient;
  sandboxUrl: string;
  proxyUrl: string;
  keyOf: (tenant: string) => string;
  outcomes: readonly CallOutcome[];
  trafficSeconds: number;
  startedMs: number;
}

interface SandboxBill {
  attempts: number;
  in_flight: number;
  total_usd: string;
  items: { at: string; provider: string }[];
}

interface Totals {
  events: number;
  ledger_usd: string;
  rollup_usd: string;
  lag_events: number | null;
  control_totals: { verdict: string; differences: string[] };
}

const DRAIN_TIMEOUT_MS = 60_000;
/** With nothing on its way any more, what is still missing after so long is lost: a proof that waits for ever proves nothing. */
const QUIET_MS = 3_000;

const readBill = async (sandboxUrl: string): Promise<SandboxBill> =>
  JSON.parse(await fetchText(`${sandboxUrl}/sandbox/bill`)) as SandboxBill;

/** Waits until every call has ended at the provider and everything recorded has reached the figures. */
const drained = async (input: ProofInput): Promise<{ bill: SandboxBill; totals: Totals }> => {
  await waitFor(
    () => readBill(input.sandboxUrl),
    (bill) => bill.in_flight === 0,
    { timeoutMs: DRAIN_TIMEOUT_MS, everyMs: 100 },
  );
  const bill = await readBill(input.sandboxUrl);
  let quietSinceMs: number | null = null;
  const { answer: totals } = await waitFor(
    () => input.admin.get<Totals>('/api/v1/totals'),
    (now) => {
      if (now.lag_events !== 0) quietSinceMs = null;
      else quietSinceMs ??= performance.now();
      if (now.lag_events === 0 && now.events === bill.attempts) {
        return now.control_totals.verdict === 'equal';
      }
      return quietSinceMs !== null && performance.now() - quietSinceMs > QUIET_MS;
    },
    { timeoutMs: DRAIN_TIMEOUT_MS, everyMs: 100 },
  );
  return { bill, totals };
};

const reconcileAll = async (
  input: ProofInput,
  bill: SandboxBill,
): Promise<ReconciliationReport[]> => {
  const items = await fetchText(`${input.sandboxUrl}/sandbox/items.csv`);
  const reports: ReconciliationReport[] = [];
  for (const provider of ['openai', 'anthropic']) {
    const csv = await fetchText(`${input.sandboxUrl}/sandbox/statements/${provider}.csv`);
    await input.admin.postBytes(
      `/api/v1/statements?provider=${provider}`,
      Buffer.from(csv),
      'text/csv',
    );
    const periods = new Set(bill.items.map((item) => item.at.slice(0, 7)));
    for (const period of periods) {
      reports.push(
        await input.admin.post<ReconciliationReport>('/api/v1/reconcile', {
          provider,
          period,
          tolerance_usd: '0',
          items_csv: items,
        }),
      );
    }
  }
  return reports;
};

const pushTwice = async (admin: AdminClient, period: string): Promise<PushProof> => {
  const post = <Answer>(verb: string, body: object = {}): Promise<Answer> =>
    admin.post<Answer>(`/api/v1/billing/${verb}`, { period, ...body });
  const plan = await post<BillingPlan>('plan');
  await post<BillingRun>('push', { yes: true });
  const proof = await post<BillingProof>('verify');
  const second = await post<BillingRun>('push', { yes: true });
  const chargebee = await post<ChargebeePlan>('plan', { destination: 'chargebee' });
  return {
    planned: plan.total,
    sent: proof.sent,
    read_back: proof.read_back,
    equal: proof.equal && plan.total === proof.sent,
    customers: plan.customers,
    sent_again: second.sent.pushes,
    chargebee_lines: chargebee.lines.length,
  };
};

const inDialect = (outcome: CallOutcome): boolean => {
  try {
    const body = JSON.parse(outcome.refusal ?? '') as {
      type?: string;
      error?: { type?: string; code?: string; scope?: string; resets_at?: string };
    };
    const { error } = body;
    const named = error?.code !== undefined && error.scope !== undefined;
    const anthropic = outcome.call.endpoint === 'anthropic.messages';
    return named && (body.type === 'error') === anthropic && typeof error.type === 'string';
  } catch {
    return false;
  }
};

interface BudgetRow {
  budget_id: string;
  tenant: string;
  limit_usd: string;
  spent_usd: string;
}

const findBlocked = async (input: ProofInput): Promise<Blocked[]> => {
  const refused = input.outcomes.filter((outcome) => outcome.status === 402);
  if (refused.length === 0) return [];
  const { rows } = await input.admin.get<{ rows: BudgetRow[] }>('/api/v1/budgets');
  const budget = rows.find((row) => row.budget_id === BLOCKED_TENANT);
  const signal = await signalSeen(input.proxyUrl, input.keyOf(BLOCKED_TENANT), () => true);
  if (!budget || !signal.received_at || !signal.cause_closed_at) return [];
  return [
    {
      tenant: budget.tenant,
      status: 402,
      signal_ms: Date.parse(signal.received_at) - Date.parse(signal.cause_closed_at),
      refused: refused.length,
      refused_in_dialect: refused.filter(inDialect).length,
      limit_usd: budget.limit_usd,
      spent_usd: budget.spent_usd,
      overshoot_usd: addAmounts([budget.spent_usd, negateAmount(budget.limit_usd)]),
      version: signal.version,
      at: signal.received_at,
    },
  ];
};

const readCachedPercent = async (admin: AdminClient): Promise<Map<string, number | null>> => {
  const rows = await queryRows(
    admin,
    `SELECT tenant,
       toString(if(sum(quantity) = 0, -1, toInt32(round(100 * toFloat64(sumIf(quantity, meter = 'cache_read')) / toFloat64(sum(quantity)))))) AS percent
     FROM spend_daily WHERE meter LIKE 'input%' OR meter LIKE 'cache%' GROUP BY tenant`,
  );
  return new Map(
    rows.map((row) => [
      row['tenant'] ?? '',
      row['percent'] === '-1' ? null : Number(row['percent']),
    ]),
  );
};

const readFigures = async (admin: AdminClient) => {
  const endings = await queryRows(
    admin,
    'SELECT ending, toString(count()) AS n FROM usage GROUP BY ending ORDER BY ending',
  );
  const spend = await queryRows(
    admin,
    'SELECT tenant, feature, toString(sum(amount_usd)) AS usd FROM spend_daily GROUP BY tenant, feature ORDER BY tenant, feature',
  );
  return {
    endings: Object.fromEntries(endings.map((row) => [row['ending'] ?? '', Number(row['n'])])),
    spend: spend.map((row) => ({
      tenant: row['tenant'] ?? '',
      feature: row['feature'] ?? '',
      usd: row['usd'] ?? '0',
    })),
    ledger_usd: await queryValue(admin, 'SELECT toString(sum(amount_usd)) FROM charges'),
    rollup_usd: await queryValue(admin, 'SELECT toString(sum(amount_usd)) FROM spend_hourly'),
    console_usd: (await admin.get<{ total_usd: string }>('/api/v1/spend?by=tenant')).total_usd,
    cachedPercent: await readCachedPercent(admin),
  };
};

const absolute = (usd: string): string => (compareAmounts(usd, '0') < 0 ? negateAmount(usd) : usd);

/**
 * Reads every figure at its own place and compares: the provider's items with the ledger attempt by attempt, its statements with
 * the ledger cell by cell, ledger with rollup, console and what Stripe holds.
 */
export const proveDemo = async (input: ProofInput): Promise<DemoResult> => {
  const { bill, totals } = await drained(input);
  const reports = await reconcileAll(input, bill);
  const differences = reports.flatMap((report) =>
    (report.attempts?.differences ?? []).map((d) => ({ ...d, provider: report.provider })),
  );
  const period = bill.items[0]?.at.slice(0, 7) ?? new Date().toISOString().slice(0, 7);
  const findings: Findings = {
    ...(await readFigures(input.admin)),
    requests: input.outcomes.length,
    attempts: bill.attempts,
    events: totals.events,
    sandbox_bill_usd: bill.total_usd,
    unexplained_usd: addAmounts(reports.map((report) => report.unexplained_abs_usd)),
    explained_usd: addAmounts(
      differences.filter((d) => d.flagged).map((d) => absolute(d.delta_usd)),
    ),
    differences,
    reports,
    blocked: await findBlocked(input),
    push: await pushTwice(input.admin, period),
    requests_per_second: Math.round(input.outcomes.length / input.trafficSeconds),
    console_url: input.admin.url,
    controlDifferences: totals.control_totals.differences,
    wrongOwners: await findWrongOwners(input.admin, input.outcomes),
  };
  const { controlDifferences: _, wrongOwners: _owners, ...found } = findings;
  return {
    ...found,
    ...judge(findings),
    seconds: Math.round((performance.now() - input.startedMs) / 100) / 10,
  };
};
