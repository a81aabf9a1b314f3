import type { Guard } from './guard.ts';

const IDENTITY = 'test/integration/identity.test.ts';
const LOST_SPEND = 'test/integration/lost-spend.test.ts';
const ALARMS = 'test/integration/alarms.test.ts';

/** Once: identity is ours, and what comes again counts once. */
const once: readonly Guard[] = [
  {
    name: 'event-id-is-ours',
    protects: ['case 25'],
    file: 'services/ledger/main.ts',
    find: '    id: data.event_id,',
    replace: '    id: data.provider_request_id ?? data.event_id,',
    test: { file: IDENTITY, name: 'case 25 ·' },
  },
  {
    name: 'word-for-no-id-is-no-id',
    protects: ['case 26'],
    file: 'services/proxy/exchange-progress.ts',
    find: ' && !NO_ID.test(id)',
    replace: '',
    test: { file: IDENTITY, name: 'case 26 ·' },
  },
  {
    name: 'calls-without-an-id-stand-alone',
    protects: ['case 26'],
    file: 'services/reconciler/core/call.ts',
    find: "event.provider_request_id === '' ? `\\n${event.event_id}` : event.provider_request_id;",
    replace: "event.provider_request_id === '' ? '\\n' : event.provider_request_id;",
    test: { file: 'test/unit/reconciler/match-attempts.test.ts', name: 'case 26 ·' },
  },
  {
    name: 'ledger-looks-up-every-id',
    protects: ['case 30'],
    file: 'services/ledger/core/fact.ts',
    find: 'const hashes = new Map(known);',
    replace: 'const hashes = new Map<string, string>();',
    test: { file: IDENTITY, name: 'case 30 ·' },
  },
  {
    name: 'budget-knows-every-entry',
    protects: ['case 30'],
    file: 'services/budget/core/spend-book.ts',
    find: "if (!isNew(entry)) return 'duplicate';",
    replace: 'isNew(entry);',
    test: { file: IDENTITY, name: 'case 30 ·' },
  },
  {
    name: 'settlement-replaces-what-was-held',
    protects: ['case 31'],
    file: 'services/rater/core/supersede.ts',
    find: 'return [reversalOf(restoredCharge(standing, later), posting), charge];',
    replace: 'return [charge];',
    test: { file: IDENTITY, name: 'case 31 ·' },
  },
  {
    name: 'failed-flush-is-dirty-again',
    protects: ['case 32'],
    file: 'services/ledger/rollups.ts',
    find: 'for (const bucket of taken) this.#dirty.set(`${bucket.tenant}/${bucket.hour}`, bucket);',
    replace: '',
    test: { file: IDENTITY, name: 'case 32 ·' },
  },
  {
    name: 'touched-during-a-flush-stays-dirty',
    protects: ['case 32'],
    file: 'services/ledger/rollups.ts',
    find: '    this.#covered = generation;\n    const now',
    replace: '    this.#dirty.clear();\n    this.#covered = generation;\n    const now',
    test: { file: IDENTITY, name: 'case 32 ·' },
  },
  {
    name: 'bucket-is-replaced-not-added',
    protects: ['case 32'],
    file: 'migrations/006_views.sql',
    find: 'FROM rollup_hourly AS r FINAL',
    replace: 'FROM rollup_hourly AS r',
    test: { file: IDENTITY, name: 'case 32 ·' },
  },
  {
    name: 'correction-is-known-by-its-entry',
    protects: ['case 42'],
    file: 'services/ledger/main.ts',
    find: '    id: data.entry_id,',
    replace: '    id: record.log + String(record.entry.partition) + String(record.entry.offset),',
    test: { file: IDENTITY, name: 'case 42 ·' },
  },
];

/** Never lost: what was taken and not kept is taken again. */
const neverLost: readonly Guard[] = [
  {
    name: 'commit-comes-after-the-work',
    protects: ['case 33'],
    file: 'services/platform/log-subscription.ts',
    find: '      await onBatch(batch);\n      await this.#handled(batch);',
    replace: '      await this.#handled(batch);\n      await onBatch(batch);',
    test: { file: LOST_SPEND, name: 'case 33 ·' },
  },
  {
    name: 'redelivered-facts-are-looked-up',
    protects: ['case 33'],
    file: 'services/ledger/core/fact.ts',
    find: 'const hashes = new Map(known);',
    replace: 'const hashes = new Map<string, string>();',
    test: { file: LOST_SPEND, name: 'case 33 ·' },
  },
  {
    name: 'ratings-are-durable-before-the-commit',
    protects: ['case 34'],
    file: 'services/rater/main.ts',
    find: '      await appended.durable;',
    replace: '',
    test: { file: LOST_SPEND, name: 'case 34 ·' },
  },
  {
    name: 'writers-are-served-one-after-the-other',
    protects: ['case 38'],
    file: 'services/ledger/ingest.ts',
    find: 'const run = tail.then(() => ingestOne(facts));',
    replace: 'const run = ingestOne(facts);',
    test: { file: LOST_SPEND, name: 'case 38 ·' },
  },
  {
    name: 'budget-sums-are-integers',
    protects: ['case 39'],
    file: 'services/budget/core/spend-book.ts',
    find: 'count(entry, scaledAmount(amount));',
    replace: 'count(entry, BigInt(Math.round(Number(amount) * 1e6)) * 10n ** 12n);',
    test: { file: LOST_SPEND, name: 'case 39 ·' },
  },
  {
    name: 'sequences-are-64-bit',
    protects: ['case 39'],
    file: 'migrations/001_usage_archive.sql',
    find: "sequence UInt64 COMMENT 'Gap-free",
    replace: "sequence UInt32 COMMENT 'Gap-free",
    test: { file: LOST_SPEND, name: 'case 39 ·' },
  },
  {
    name: 'rollup-sums-are-decimal',
    protects: ['case 39'],
    file: 'services/ledger/rollup-sql.ts',
    find: 'sum(charge_amount) AS amount,',
    replace: 'sum(toFloat64(charge_amount)) AS amount,',
    test: { file: LOST_SPEND, name: 'case 39 ·' },
  },
  {
    name: 'refused-insert-is-not-committed',
    protects: ['case 43'],
    file: 'services/ledger/ingest.ts',
    find: 'if (!again) throw error;',
    replace: 'if (!again) return;',
    test: { file: LOST_SPEND, name: 'case 43 ·' },
  },
  {
    name: 'unreadable-records-are-kept',
    protects: ['case 44'],
    file: 'services/platform/consume-batches.ts',
    find: '      await appendDeadLetters(options.deadLetters, options.clock, letters);',
    replace: '',
    test: { file: LOST_SPEND, name: 'case 44 · what can never' },
  },
  {
    name: 'refused-facts-are-kept',
    protects: ['case 44'],
    file: 'services/ledger/ingest.ts',
    find: '  await appendDeadLetters(deps.deadLetters, deps.clock, letters);',
    replace: '',
    test: { file: LOST_SPEND, name: 'case 44 · what can never' },
  },
  {
    name: 'proxies-count-dead-letters',
    protects: ['case 44'],
    file: 'services/proxy/recover-attempts.ts',
    find: '  about.countDeadLetters(letters);',
    replace: '',
    test: { file: LOST_SPEND, name: 'case 44 · an opened record' },
  },
  {
    name: 'dead-letters-are-counted',
    protects: ['case 44'],
    file: 'services/platform/consume-batches.ts',
    find: '      options.onDeadLetters?.(letters);',
    replace: '',
    test: { file: LOST_SPEND, name: 'case 44 · what can never' },
  },
];

/** What stands still is seen. */
const seen: readonly Guard[] = [
  {
    name: 'stalled-budget-is-told',
    protects: ['case 40'],
    file: 'services/budget/core/stall.ts',
    find: 'return nowMs - movedAtMs >= limitMs;',
    replace: 'return false;',
    test: { file: ALARMS, name: 'case 40 ·' },
  },
  {
    name: 'quiet-budget-is-no-alarm',
    protects: ['case 40'],
    file: 'services/budget/core/stall.ts',
    find: ' || lag === 0',
    replace: '',
    test: { file: ALARMS, name: 'case 40 ·' },
  },
  {
    name: 'never-reconciled-has-an-age',
    protects: ['case 42'],
    file: 'services/reconciler/core/overdue.ts',
    find: 'const since = lastRuns.get(provider) ?? first;',
    replace:
      'const since = lastRuns.get(provider);\n    if (since === undefined) continue;\n    void first;',
    test: { file: ALARMS, name: 'case 42 ·' },
  },
];

/** Once, and never lost: identity, replays, failed flushes, failed commits. */
export const identityGuards: readonly Guard[] = [...once, ...neverLost, ...seen];
