import type { Guard } from './guard.ts';

/** Work that ends later: charged once, at completion. */
export const followupGuards: readonly Guard[] = [
  {
    name: 'settled-and-forgotten-in-one-append',
    protects: ['case 23'],
    file: 'services/proxy/follow-operations.ts',
    find: 'await deps.journal.record([fact], [operationTombstone(operation)]);',
    replace: 'await deps.journal.record([fact], []);',
    test: {
      file: 'test/integration/proxy-follow.test.ts',
      name: 'case 23 · a background response nobody looks at again',
    },
  },
  {
    name: 'results-read-on-from-the-marker',
    protects: ['case 24'],
    file: 'services/proxy/read-batch.ts',
    find: 'if (line > done) group.push(',
    replace: 'group.push(',
    test: { file: 'test/integration/proxy-batch.test.ts', name: 'append number 4 of a batch' },
  },
  {
    name: 'batch-priced-at-completion',
    protects: ['case 24'],
    file: 'services/proxy/core/batch-results.ts',
    find: '    provider_completed_at: completedAt,\n',
    replace: '',
    test: { file: 'test/integration/proxy-batch.test.ts', name: 'polled fifty times' },
  },
  {
    name: 'cached-input-is-a-class',
    protects: ['case 28'],
    file: 'services/proxy/core/flavours/openai-usage.ts',
    find: 'if (cached !== undefined) classes.cache_read = quantity(cached - overlap);',
    replace: '',
    test: { file: 'test/integration/proxy-repeats.test.ts', name: 'case 28 ·' },
  },
  {
    name: 'superseded-by-its-own-successor',
    protects: ['case 29'],
    file: 'services/rater/supersessions.ts',
    find: "found.get(later.supersedes ?? '')",
    replace: '[...found.values()][0]',
    test: { file: 'test/integration/supersede.test.ts', name: 'case 29 ·' },
  },
  {
    name: 'superseded-charge-is-reversed',
    protects: ['case 24', 'case 29'],
    file: 'services/rater/core/supersede.ts',
    find: 'return [reversalOf(restoredCharge(standing, later), standing.posting_period), later];',
    replace: 'return [later];',
    test: { file: 'test/integration/supersede.test.ts', name: 'case 29 ·' },
  },
  {
    name: 'completed-without-results-is-not-free',
    protects: ['case 24'],
    file: 'services/proxy/core/batch-results.ts',
    find: 'over: OVER.has(status) && !lacksResults(job, files),',
    replace: 'over: OVER.has(status),',
    test: {
      file: 'test/integration/proxy-batch-attacks.test.ts',
      name: 'case 24 · a batch that says it is completed before',
    },
  },
  {
    name: 'read-before-it-is-deleted',
    protects: ['case 23'],
    file: 'services/proxy/follow-operations.ts',
    find: 'operation.fact.upstream === upstream &&',
    replace: 'operation.fact.upstream !== upstream &&',
    test: {
      file: 'test/integration/proxy-number-attacks.test.ts',
      name: 'case 23 · a background response that its caller deletes',
    },
  },
];
